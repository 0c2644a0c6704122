// The actors' part of a hub, and of an actor what few of them need. For the runtime's own files:
// users' files compile without it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "greenroom/actors/core/actor.h"
#include "greenroom/actors/core/link_state.h"
#include "greenroom/actors/core/reply.h"
#include "greenroom/actors/core/signals.h"
#include "greenroom/actors/names/pid_table.h"
#include "greenroom/actors/values/exit_reason.h"
#include "greenroom/actors/values/options.h"
#include "greenroom/actors/values/pid.h"
#include "greenroom/mailbox/message.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/memory/block_pool.h"
#include "greenroom/scheduler/memory/ordered_map.h"

namespace greenroom::detail {

// Hears of an actor's end, on its hub, at once: when its number is dead, before links and monitors
// are told. Listens to one actor at a time, and may go before it does.
class EndListener {
 public:
  EndListener() = default;
  EndListener(const EndListener&) = delete;
  EndListener& operator=(const EndListener&) = delete;

  void listen_to(Actor& actor);
  void stop_listening() noexcept;
  // Hub work. It listens to nobody any more.
  virtual void on_actor_end() noexcept = 0;

 protected:
  ~EndListener() { stop_listening(); }

 private:
  EndListener* next_ = nullptr;
  EndListener** link_ = nullptr;  // what points here; null: listens to nobody
};

struct ActorExtras {
  ActorExtras();
  ~ActorExtras();
  static void* operator new(std::size_t size) { return allocate_block(size); }
  static void operator delete(void* block, std::size_t size) { release_block(block, size); }

  std::vector<std::string> names;
  std::string label;
  MailboxLimit limit;
  std::uint64_t dead_letters = 0;  // refused or dropped by the limit
  OrderedMap<Pid, LinkState> links;
  OrderedMap<std::uint64_t, Pid> watchers;        // monitor number -> who gets the Down
  OrderedMap<std::uint64_t, Pid> watching;        // monitor number -> whose end it tells
  std::shared_ptr<const ExitReason> exit_reason;  // accepted: the actor is exiting
  std::unique_ptr<const ExitReason> failure;      // what a server's handler threw, until it ends
  EndListener* end_listeners = nullptr;
  std::vector<Signal> too_late;  // links and monitors that came after that: answered as by the dead
  std::vector<ReplyHandle>
      orphaned_replies;  // lost by unwinding: answered when the reason is known
};

// What only one other part knows the inside of, and ends with the hub.
struct HubPart {
  HubPart() = default;
  virtual ~HubPart() = default;
  HubPart(const HubPart&) = delete;
  HubPart& operator=(const HubPart&) = delete;
};

// The actors' part of a hub.
struct ActorHub final : HubExtension {
  explicit ActorHub(const Hub& hub);
  ~ActorHub() override;
  static ActorHub& of(Hub& hub) {
    auto& extension = hub.extension(Layer::actors);
    if (!extension) [[unlikely]]
      make(hub);
    return static_cast<ActorHub&>(*extension);
  }
  // Null on a hub where no actor ever was.
  static ActorHub* of_if_any(Hub& hub) {
    return static_cast<ActorHub*>(hub.extension(Layer::actors).get());
  }
  static void make(Hub& hub);

  PidTable pids;
  const std::uint64_t where;         // Pid::where() of those that live here
  const std::uint64_t incarnation;   // ports are used again: this tells whose a lease is
  std::uint64_t last_call = 0;       // numbers the calls that wait on this hub
  EndingScope* endings = nullptr;    // of actors whose state and mail are being destroyed
  std::uint64_t next_reference = 0;  // a leased range of the process's monitor numbers
  std::uint64_t last_reference = 0;
  std::unique_ptr<HubPart> timers;  // MessageTimers: of send_after and send_interval
  std::unique_ptr<HubPart> leases;  // PidLeases; null: no spawn on another hub yet
};

// The actor that lives on this hub; null if it does not, is dead, or is on its way.
inline Actor* find_actor_here(Hub& hub, Pid pid) noexcept {
  ActorHub* actors = ActorHub::of_if_any(hub);
  if (!actors || pid.where() != actors->where) return nullptr;
  return actors->pids.find(pid.number);
}

// After a push into its mailbox: sees to it that it is read.
inline void tell_of_mail(Actor& actor) {
  Task& task = *actor.task;
  if (task.state == TaskState::idle) {
    task.hub->activate(task);
  } else if (task.state == TaskState::parked && task.park->waits_for.kind == WaitsFor::Kind::mail) {
    task.hub->end_park(task, ParkResult::woken);
  }
}
// Limits are the caller's matter.
inline void enqueue(Actor& actor, MessagePointer message) {
  actor.mailbox.push(std::move(message));
  tell_of_mail(actor);
}
inline void enqueue_signal(Actor& actor, MessagePointer message) {
  actor.mailbox.push_signal(std::move(message));
  tell_of_mail(actor);
}

// Its names are nobody's from now on.
void free_names(Actor& actor);

// Answers what an exception has unwound past, now that the reason is known.
void fail_orphaned_replies(Actor& actor, const ExitReason& reason) noexcept;

// A number unique in the process, for monitors and unlinks.
std::uint64_t new_reference(ActorHub& hub);

}  // namespace greenroom::detail
