// An actor from the inside: a task with a pid and a mailbox, and what links and monitors hang on
// it.
//
// Touched by its hub's thread only; others send signals (signals.h). What few actors need is in
// extras.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "greenroom/actors/exit_reason.h"
#include "greenroom/actors/options.h"
#include "greenroom/actors/ordered_map.h"
#include "greenroom/actors/pid.h"
#include "greenroom/actors/pid_table.h"
#include "greenroom/mailbox/mailbox.h"
#include "greenroom/scheduler/block_pool.h"
#include "greenroom/scheduler/hub.h"
#include "greenroom/scheduler/interrupt.h"

namespace greenroom::detail {

struct Actor;

// One side of a link.
struct LinkState {
  bool is_active = true;        // an exit of the peer acts
  std::uint64_t unlinking = 0;  // an unlink that is not acknowledged yet: exits of the peer are of
                                // the old link, and dropped
};

struct ReplyCell;
struct ReplyHandle;
struct Signal;

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
  std::vector<Signal> too_late;  // links and monitors that came after that: answered as by the dead
  std::vector<ReplyHandle>
      orphaned_replies;  // lost by unwinding: answered when the reason is known
};

struct Actor : MailboxExtension {
  explicit Actor(Task& owner);
  ~Actor();

  Pid pid() const { return {0, task->hub->id(), number}; }
  ActorExtras& extra() { return extras ? *extras : make_extras(); }
  ActorExtras& make_extras();
  bool is_exiting() const { return (task->attention & attention::exiting) != 0 || has_ended; }

  Task* task;
  std::uint64_t number = 0;
  Pid parent;  // who spawned it; nobody for a promoted greenlet
  ActorExtras* extras = nullptr;
  ReplyCell* reply_cell = nullptr;  // of the call it waits in, in its frame
  bool traps_exits = false;
  bool is_promoted = false;  // a greenlet that called self()
  bool has_ended = false;
  bool is_server = false;
  bool has_state = false;   // of a server: its constructor is done
  bool has_failed = false;  // of a server: its run loop is over
};

struct MessageTimers;
struct PidLeases;

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
  const std::uint64_t where;           // Pid::where() of those that live here
  const std::uint64_t incarnation;     // ports are used again: this tells whose a lease is
  std::uint64_t last_call = 0;         // numbers the calls that wait on this hub
  const ExitReason* ending = nullptr;  // while an ending actor's state and mail are destroyed: why
  std::uint64_t next_reference = 0;    // a leased range of the process's monitor numbers
  std::uint64_t last_reference = 0;
  std::unique_ptr<MessageTimers> timers;  // of send_after and send_interval
  std::unique_ptr<PidLeases> leases;      // null: no spawn on another hub yet
};

// The actor that lives on this hub; null if it does not, is dead, or is on its way.
inline Actor* find_actor_here(Hub& hub, Pid pid) noexcept {
  ActorHub* actors = ActorHub::of_if_any(hub);
  if (!actors || pid.where() != actors->where) return nullptr;
  return actors->pids.find(pid.number);
}

inline Actor& actor_of(Task& task) { return static_cast<Actor&>(*task.extension); }

// The current task as an actor; a plain greenlet becomes one. Throws std::logic_error in hub work.
Actor& current_actor();
// The current actor, or null: no hub, hub work, or a greenlet that is none.
Actor* current_actor_if_any() noexcept;

// After a push into its mailbox: sees to it that it is read.
inline void tell_of_mail(Actor& actor) {
  Task& task = *actor.task;
  if (task.state == TaskState::idle) {
    task.hub->activate(task);
  } else if (task.state == TaskState::parked && task.park->waits_for.kind == WaitsFor::Kind::mail) {
    task.hub->wake(task, task.epoch, ParkResult::woken);
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

// The life of an actor ends: its name is freed, its number dead, links and monitors are told, its
// mail destroyed.
void end_actor(Actor& actor, const ExitReason& outcome) noexcept;

// While an actor's callable, state or mail is destroyed: nothing interrupts it, and requests that
// die with it fail with its reason.
class EndingScope {
 public:
  EndingScope(Task& task, const ExitReason& reason) noexcept;
  ~EndingScope();
  EndingScope(const EndingScope&) = delete;
  EndingScope& operator=(const EndingScope&) = delete;

 private:
  ActorHub& hub_;
  const ExitReason* outer_;
  Uncancellable uncancellable_;
};

// Its names are nobody's from now on.
void free_names(Actor& actor);

// What an actor's body has just thrown, as a reason; in a catch block.
ExitReason reason_of_current_exception();

// Answers what an exception has unwound past, now that the reason is known.
void fail_orphaned_replies(Actor& actor, const ExitReason& reason) noexcept;

// A number unique in the process, for monitors and unlinks.
std::uint64_t new_reference(ActorHub& hub);

// "actor <0.12.3> 'name' Room".
std::string describe_actor(const Task& task);

}  // namespace greenroom::detail
