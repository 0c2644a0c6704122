// Calls, and starts of servers, which are calls that the constructor answers.
#include <algorithm>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/foreign_cell.h"
#include "greenroom/actors/core/mailbox_limit.h"
#include "greenroom/actors/names/registry.h"
#include "greenroom/actors/server/server.h"
#include "greenroom/actors/verbs/verbs.h"
#include "greenroom/scheduler/hub/interrupt.h"

namespace greenroom::detail {

namespace {

ExitReason reason_of_placed(Placed placed) {
  return placed == Placed::full ? ExitReason("mailbox_full") : Reason::noproc;
}

inline Actor& caller_of_call(Hub& hub) {
  const Task& self = enter_blocking_call(hub);
  return self.extension ? static_cast<Actor&>(*self.extension) : current_actor();
}

// Who waits for a call that one on this hub, of that number, waits for; 0: nobody, as far as can be
// seen from here.
std::uint64_t waited_for_by(ActorHub& hub, std::uint64_t number) {
  const Actor* actor = hub.pids.find(number);
  if (!actor || actor->task->state != TaskState::parked) return 0;
  const ParkFrame& park = *actor->task->park;
  return park.waits_for.kind == WaitsFor::Kind::actor ? park.waits_for.id : 0;
}

// A chain of calls on this hub that would wait for the caller in the end; empty if there is none.
std::string cycle_through(const Task& caller, Pid target) {
  constexpr int longest = 10'000;
  ActorHub& hub = ActorHub::of(*caller.hub);
  const std::uint64_t self = caller.extension ? actor_of(const_cast<Task&>(caller)).number : 0;
  std::uint64_t last = target.number;
  int length = 0;
  while (last != 0 && last != self && length++ < longest) last = waited_for_by(hub, last);
  if (last == 0 || last != self) return {};
  std::string chain;
  for (std::uint64_t number = target.number; number != self; number = waited_for_by(hub, number))
    chain += (chain.empty() ? "" : " -> ") + hub.pids.find(number)->pid().to_string();
  return chain;
}

// Not members of CallSite: what they are called with stays in registers.
[[gnu::noinline]] void fail(ReplyCell& cell, const ExitReason& reason) {
  delete std::exchange(cell.failure, nullptr);
  cell.failure = new ExitReason(reason);
  cell.state = ReplyState::failed;
}

// True, and the cell failed, if the call would wait for itself.
[[gnu::noinline]] bool refuse(ReplyCell& cell, const Actor& target) {
  const Actor& caller = *cell.caller;
  if (&target == &caller) {
    fail(cell, ExitReason("calling_self"));
    return true;
  }
  const std::string chain = cycle_through(*caller.task, target.pid());
  if (chain.empty()) return false;
  const std::string self = caller.pid().to_string();
  fail(cell, ExitReason("deadlock", self + " -> " + chain + " -> " + self));
  return true;
}

// Or the one that the task inherits; in a clean-up that nothing cuts short it inherits none.
[[gnu::noinline]] std::int64_t nearer_deadline(const Task& task, std::int64_t deadline) noexcept {
  if (task.uncancellable > 0 || std::uncaught_exceptions() > 0) return deadline;
  return std::min(deadline, inherited_deadline());
}

// One call of the current greenlet, from its entry to its answer.
class CallSite {
 public:
  // As the start of every blocking call.
  [[gnu::always_inline]] CallSite(Hub& hub, ReplyCell& cell, Wait wait)
      : hub_(hub), cell_(cell), caller_(caller_of_call(hub)) {
    const Task& task = *caller_.task;
    deadline_ = wait.needs_clock() ? hub.deadline_after(wait.duration()) : wait.to_deadline();
    if ((task.attention & attention::inherits) != 0) [[unlikely]]
      deadline_ = nearer_deadline(task, closed_deadline());
    cell.caller = &caller_;
    cell.serial = ++ActorHub::of(hub).last_call;
    caller_.reply_cell = &cell;
  }
  [[gnu::always_inline]] ~CallSite() { caller_.reply_cell = nullptr; }
  CallSite(const CallSite&) = delete;
  CallSite& operator=(const CallSite&) = delete;

  // For those who need it as a point in time.
  std::int64_t closed_deadline() {
    if (is_open(deadline_)) deadline_ = close_deadline(deadline_, hub_.now());
    return deadline_;
  }
  ReplyHandle handle() const { return {caller_.number, cell_.serial, hub_.id()}; }
  // Sends and parks until the cell is answered; a deadline that comes first answers it with
  // `timeout`.
  void send_and_wait(Pid target, MessagePointer request);
  // Parks until the cell is answered by that actor.
  void wait_for(Pid target);

 private:
  void wait_for_another_hub(Pid target);
  void park_until_answered(Pid target);

  Hub& hub_;
  ReplyCell& cell_;
  Actor& caller_;
  std::int64_t deadline_;  // open, where possible: see park.h
};

[[gnu::always_inline]] inline void CallSite::park_until_answered(Pid target) {
  while (cell_.state == ReplyState::waiting) {
    const ParkResult result = hub_.park("call", deadline_, {WaitsFor::Kind::actor, target.number});
    // A reply that came in the same round beats the deadline.
    if (cell_.state != ReplyState::waiting) [[likely]]
      return;
    if (result == ParkResult::expired) return fail(cell_, Reason::timeout);
    if (result == ParkResult::interrupted) {
      deadline_ = hub_.interrupted_deadline();
      throw_pending();
    }
  }
}

[[gnu::always_inline]] inline void CallSite::wait_for(Pid target) {
  if (target.hub != hub_.id()) [[unlikely]]
    return wait_for_another_hub(target);
  park_until_answered(target);
}

[[gnu::noinline]] void CallSite::wait_for_another_hub(Pid target) {
  const Hold hold = hub_.hold_for_news_from(target.hub);
  park_until_answered(target);
}

bool waits_for_an_actor(const Task& task) {
  return task.state == TaskState::parked && task.park->waits_for.kind == WaitsFor::Kind::actor;
}

[[gnu::always_inline]] inline void CallSite::send_and_wait(Pid target, MessagePointer request) {
  auto& parts = static_cast<Request&>(*request);
  parts.reply = handle();
  Actor* local = find_actor_here(hub_, target);  // null: sending tells why
  if (!local) [[unlikely]]
    parts.deadline = closed_deadline();
  if (local && (local == &caller_ || waits_for_an_actor(*local->task))) [[unlikely]] {
    if (refuse(cell_, *local)) {
      parts.reply.caller = 0;
      return;
    }
  }
  const Placed placed =
      local ? place_message(*local, std::move(request)) : send_message(target, std::move(request));
  // A request that found no room, or nobody, has failed its caller by now, for want of a better
  // reason with this one.
  if (placed != Placed::yes) [[unlikely]]
    return fail(cell_, reason_of_placed(placed));
  wait_for(target);
}

Pid resolve(NamedServer server, std::int64_t deadline) {
  if (server.is_waiting && deadline != 0) return wait_for_name(server.name, deadline);
  return whereis(server.name).value_or(Pid{});
}

[[gnu::noinline]] void call_from_foreign_thread(ReplyCell& cell, Pid target, MessagePointer request,
                                                Wait wait) {
  const std::int64_t deadline = wait.to_deadline();
  auto foreign = std::make_shared<ForeignCell>();
  auto& parts = static_cast<Request&>(*request);
  parts.reply = ForeignCell::handle_for(foreign);
  parts.deadline = deadline;
  const Placed placed = send_message(target, std::move(request));
  if (placed != Placed::yes) return fail(cell, reason_of_placed(placed));
  if (!foreign->wait(deadline)) return fail(cell, Reason::timeout);
  const std::lock_guard lock(foreign->mutex);
  if (foreign->failure) return fail(cell, *foreign->failure);
  ReplyPost* value = foreign->value.release();
  cell.state = value->finish(*value, &cell);
}

}  // namespace

void make_call(ReplyCell& cell, Pid to, OwnedMessage request, Wait wait) {
  MessagePointer owned = std::move(request).take();
  Hub* hub = Hub::current_if_any();
  if (!hub) [[unlikely]]
    return call_from_foreign_thread(cell, to, std::move(owned), wait);
  CallSite site(*hub, cell, wait);
  site.send_and_wait(to, std::move(owned));
}

void make_call(ReplyCell& cell, NamedServer to, OwnedMessage request, Wait wait) {
  MessagePointer owned = std::move(request).take();
  Hub* hub = Hub::current_if_any();
  if (!hub) return call_from_foreign_thread(cell, resolve(to, 0), std::move(owned), wait);
  CallSite site(*hub, cell, wait);
  site.send_and_wait(resolve(to, to.is_waiting ? site.closed_deadline() : 0), std::move(owned));
}

void send_cast(NamedServer to, OwnedMessage request) noexcept {
  send_message(resolve(to, 0), std::move(request));
}

ExitReason take_failure(ReplyCell& cell) {
  const std::unique_ptr<const ExitReason> failure(std::exchange(cell.failure, nullptr));
  return *failure;
}

void throw_call_error(ReplyCell& cell) { throw CallError(take_failure(cell)); }

// Start.

Pid start_server(ServerTask& task, const SpawnOptions* options, bool is_linked) {
  // Ours until it is started: what is pending for the caller is thrown before that.
  const auto drop = [](Task* unstarted) { drop_reference(*unstarted); };
  std::unique_ptr<Task, decltype(drop)> unstarted(&task, drop);
  ReplyCellOf<void> cell;
  CallSite site(Hub::current(), cell, Wait::forever());
  task.start->starter = site.handle();
  task.actor.has_parent = is_linked;
  static_cast<void>(unstarted.release());
  Pid pid;
  try {
    pid = start_actor(task, {.options = options, .link = is_linked});
  } catch (const BadName&) {
    throw StartError(ExitReason("already_started", whereis(options->name).value_or(Pid{})));
  }
  try {
    site.wait_for(pid);
  } catch (const ActorExit&) {
    throw;  // a link tells why
  } catch (...) {
    // Nobody would ever know it: it does not start.
    if (is_linked) unlink(pid);
    exit(pid, Reason::kill);
    throw;
  }
  if (cell.state == ReplyState::failed) throw StartError(take_failure(cell));
  return pid;
}

}  // namespace greenroom::detail
