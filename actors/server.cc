#include "greenroom/actors/server.h"

#include <algorithm>
#include <memory>

#include "greenroom/actors/crash_report.h"
#include "greenroom/actors/foreign_cell.h"
#include "greenroom/actors/name_waiters.h"
#include "greenroom/actors/verbs.h"
#include "greenroom/scheduler/interrupt.h"

namespace greenroom {
namespace detail {

namespace {

// ---- the run loop ----

[[gnu::noinline]] void construct(ServerTask& task) {
  task.start->construct(task.server());
  task.actor.has_state = true;
  const auto start = std::move(task.start);
  send_reply<void>(start->starter, {});
}

// As gen_server: the parent's exit ends a server that traps exits, through terminate.
void stop_with_parent(const ServerTask& task, const Message& message) {
  if (!message.is<Exit>() || !task.actor.parent) return;
  const Exit& exit = message.as<Exit>();
  if (exit.from == task.actor.parent)
    throw ActorExit(std::make_shared<const ExitReason>(exit.reason));
}

// What is no request, or another server's, or of this one by another shared library.
[[gnu::noinline]] void handle_other(ServerTask& task) {
  Message& message = *task.current;
  task.actor.mailbox.count_taken(message);
  if (MessageAccess::kind(message) == MessageKind::request) {
    auto& request = static_cast<Request&>(message);
    if (*request.ops().server == *task.server_ops->type)
      return request.ops().invoke(task.server(), request);
  }
  if (MessageAccess::kind(message) == MessageKind::signal) stop_with_parent(task, message);
  if (!task.server_ops->handle_other(task.server(), message)) {
    log_line(describe_actor(task) + " dropped a message of type " + message.type_name() +
             ": it has no handler for it");
  }
  MessageAccess::destroy(message);
}

[[gnu::noinline]] void clean_up_after_handler(ServerTask& task) {
  end_detached_timeouts(task);
  if (task.actor.extras && !task.actor.extras->orphaned_replies.empty()) {
    fail_orphaned_replies(task.actor, ExitReason("no_reply"));
  }
}

// The mail that is there when the slice begins; what comes meanwhile waits for the next one. What a
// handler throws on stays in `current`: it is still to be answered. After a handler that returns,
// `current` is stale; it is cleared only where somebody could ask for it: a store for each message
// less.
inline void handle_mail(ServerTask& task) {
  std::size_t left = task.actor.mailbox.size();
  for (left = std::min(left, Hub::slice_for(left)); left > 0; --left) {
    Message* message = task.actor.mailbox.take_front();
    if (!message) break;  // a handler took some itself
    task.current = message;
    auto& request = static_cast<Request&>(*message);
    // Nothing but the task is needed after this: what is kept over a call is saved in each slice.
    if (MessageAccess::kind(*message) == MessageKind::request &&
        request.ops().server == task.server_ops->type) [[likely]] {
      request.ops().invoke(task.server(), request);
    } else {
      handle_other(task);
    }
    if (task.interrupts || task.actor.extras) clean_up_after_handler(task);
    if ((task.attention & attention::throws) != 0) [[unlikely]]
      break;
  }
}

// Not on a kill, and not on an exit signal that was not trapped: as OTP.
void terminate(ServerTask& task, ExitReason& reason) noexcept {
  if (!task.actor.has_state || !task.server_ops->terminate || task.actor.is_exiting()) return;
  try {
    task.server_ops->terminate(task.server(), reason);
  } catch (...) {
    reason = reason_of_current_exception();
  }
}

// The constructor does not want the server to run, which is no failure.
bool is_ignored(const ExitReason& reason) { return reason.tag() == "ignore"; }

void end_server(ServerTask& task, const ExitReason& reason) noexcept {
  ReplyHandle starter;
  if (task.start) starter = std::exchange(task.start->starter, {});
  MessagePointer message(std::exchange(task.current, nullptr));
  {
    const EndingScope ending(task, reason);
    message.reset();
    task.start.reset();
    if (std::exchange(task.actor.has_state, false)) task.server_ops->destroy_state(task.server());
  }
  if (starter && task.actor.extras) {
    // The starter hears of it by StartError, not by an exit signal.
    const Pid self = task.actor.pid();
    if (task.actor.extras->links.erase(task.actor.parent)) {
      send_signal(
          {SignalKind::unlink, self, task.actor.parent, new_reference(ActorHub::of(*task.hub))});
    }
  }
  end_actor(task.actor, starter && is_ignored(reason) ? Reason::normal : reason);
  fail_reply(starter, reason);
}

// What the message that is being handled asks for; null if it is no request.
Request* current_request(const ServerTask& task) {
  Message* message = task.current;
  if (!message) return nullptr;
  const MessageKind kind = MessageAccess::kind(*message);
  const bool is_request = kind == MessageKind::request || kind == MessageKind::taken;
  return is_request ? static_cast<Request*>(message) : nullptr;
}

// What is pending for a server is thrown where no handler runs. An exit is not: nothing needs to be
// unwound for it.
[[gnu::noinline]] bool take_interrupt(ServerTask& task) {
  task.current = nullptr;
  if ((task.attention & attention::exiting) != 0) return false;
  throw_pending();
  return true;
}
inline bool may_go_on(ServerTask& task) {
  return (task.attention & attention::throws) == 0 || take_interrupt(task);
}

// In a catch block.
[[gnu::noinline]] void note_failure(ServerTask& task) {
  task.actor.extra().failure = std::make_unique<const ExitReason>(reason_of_current_exception());
}

// False: the server is over. What is done once in a while is in functions of its own, so that no
// register is saved for it.
inline bool run_slice(ServerTask& task) {
  try {
    if (!may_go_on(task)) [[unlikely]]
      return false;
    if (task.start) [[unlikely]] {
      construct(task);
      if (!may_go_on(task)) return false;
    }
    handle_mail(task);
    return may_go_on(task);
  } catch (...) {
    note_failure(task);
    return false;
  }
}

// The run loop is over, by what was noted or by an exit that was accepted.
[[gnu::noinline]] void end_run(ServerTask& task) noexcept {
  const ActorExtras& extras = *task.actor.extras;
  ExitReason reason = extras.exit_reason ? *extras.exit_reason : *extras.failure;
  task.actor.has_failed = true;
  terminate(task, reason);
  end_server(task, reason);
}

}  // namespace

// One server after another, as long as servers are next: between two of them there is no way back
// to the hub's loop.
void run_server(Task& first) {
  Hub& hub = *first.hub;
  for (Task* raw = &first; raw; raw = hub.next_alike()) {
    auto& task = static_cast<ServerTask&>(*raw);
    if (!run_slice(task)) [[unlikely]]
      return end_run(task);
    task.state = TaskState::idle;
    if (!task.actor.mailbox.empty()) hub.activate(task);
  }
}

void abandoned_server(Task& raw) noexcept {
  auto& task = static_cast<ServerTask&>(raw);
  const ActorExtras* extras = task.actor.extras;
  const ExitReason reason = extras && extras->exit_reason ? *extras->exit_reason : Reason::killed;
  // Its frames stay as they are, so the caller of the running handler is answered here; the state
  // is not touched.
  if (Request* request = current_request(task)) fail_reply(request->reply, reason);
  if (task.start) fail_reply(task.start->starter, reason);
  end_actor(task.actor, reason);
}

// ---- calls ----

namespace {

ExitReason reason_of_placed(Placed placed) {
  return placed == Placed::full ? ExitReason("mailbox_full") : Reason::noproc;
}

inline Actor& caller_of_call(Hub& hub) {
  const Task& self = enter_blocking_call(hub);
  return self.extension ? static_cast<Actor&>(*self.extension) : current_actor();
}

// A chain of calls on this hub that would wait for the caller in the end; empty if there is none.
std::string cycle_through(const Task& caller, Pid target) {
  ActorHub& hub = ActorHub::of(*caller.hub);
  const std::uint64_t self = caller.extension ? actor_of(const_cast<Task&>(caller)).number : 0;
  if (self == 0) return {};
  std::string chain;
  std::uint64_t number = target.number;
  for (int length = 0; length < 10'000; ++length) {
    const Actor* actor = hub.pids.find(number);
    if (!actor || actor->task->state != TaskState::parked) return {};
    const ParkFrame& park = *actor->task->park;
    if (park.waits_for.kind != WaitsFor::Kind::actor) return {};
    chain += (chain.empty() ? "" : " -> ") + actor->pid().to_string();
    number = park.waits_for.id;
    if (number == self) return chain;
  }
  return {};
}

// Not members of CallSite: what they are called with stays in registers.
[[gnu::noinline]] void fail(ReplyCell& cell, const ExitReason& reason) {
  cell.failure.reset(new ExitReason(reason));
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

// One call of the current greenlet, from its entry to its answer.
class CallSite {
 public:
  // As the start of every blocking call.
  [[gnu::always_inline]] CallSite(Hub& hub, ReplyCell& cell, Wait wait)
      : hub_(hub), cell_(cell), caller_(caller_of_call(hub)) {
    const Task& task = *caller_.task;
    deadline_ = wait.needs_clock() ? wait.to_deadline(hub.now()) : wait.to_deadline();
    if (task.interrupts) [[unlikely]]
      deadline_ = std::min(deadline_, inherited_deadline());
    cell.caller = &caller_;
    cell.serial = ++ActorHub::of(hub).last_call;
    caller_.reply_cell = &cell;
  }
  [[gnu::always_inline]] ~CallSite() { caller_.reply_cell = nullptr; }
  CallSite(const CallSite&) = delete;
  CallSite& operator=(const CallSite&) = delete;

  std::int64_t deadline() const { return deadline_; }
  ReplyHandle handle() const { return {caller_.number, cell_.serial, hub_.id()}; }
  // Sends and parks until the cell is answered; a deadline that comes first answers it with
  // `timeout`.
  void send_and_wait(Pid target, MessagePointer request);
  // Parks until the cell is answered by that actor.
  void wait_for(Pid target);

 private:
  void wait_for_stranger(Pid target);
  void park_until_answered(Pid target);

  Hub& hub_;
  ReplyCell& cell_;
  Actor& caller_;
  std::int64_t deadline_;
};

[[gnu::always_inline]] inline void CallSite::park_until_answered(Pid target) {
  while (cell_.state == ReplyState::waiting) {
    const ParkResult result = hub_.park("call", deadline_, {WaitsFor::Kind::actor, target.number});
    // A reply that came in the same round beats the deadline.
    if (cell_.state != ReplyState::waiting) [[likely]]
      return;
    if (result == ParkResult::expired) return fail(cell_, Reason::timeout);
    if (result == ParkResult::interrupted) throw_pending();
  }
}

[[gnu::always_inline]] inline void CallSite::wait_for(Pid target) {
  if (target.hub != hub_.id() && !hub_.group()) [[unlikely]]
    return wait_for_stranger(target);
  park_until_answered(target);
}

// A reply from another hub is enough to wait for. In a group of hubs the others are seen.
[[gnu::noinline]] void CallSite::wait_for_stranger(Pid target) {
  const Hold hold = hub_.hold();
  park_until_answered(target);
}

bool waits_for_an_actor(const Task& task) {
  return task.state == TaskState::parked && task.park->waits_for.kind == WaitsFor::Kind::actor;
}

[[gnu::always_inline]] inline void CallSite::send_and_wait(Pid target, MessagePointer request) {
  auto& parts = static_cast<Request&>(*request);
  parts.reply = handle();
  parts.deadline = deadline_;
  Actor* local = find_actor_here(hub_, target);  // null: sending tells why
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

// Waits until somebody has the name; nobody if the deadline came first.
Pid wait_for_name(const std::string& name, std::int64_t deadline) {
  NameWaiters& waiters = name_waiters();
  Task& self = *Hub::current().current_task();
  for (;;) {
    std::unique_lock lock(waiters.mutex);
    WaitNode node(self);
    waiters.queue.push_back(node);
    lock.unlock();
    std::optional<Pid> pid = whereis(name);
    ParkResult result = ParkResult::woken;
    if (!pid) result = park("call.waiting_for_name", deadline);
    lock.lock();
    node.unlink();
    lock.unlock();
    if (pid) return *pid;
    if (result == ParkResult::interrupted) throw_pending();
    if (result == ParkResult::expired) return whereis(name).value_or(Pid{});
  }
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
  ReplyPost* value = std::exchange(foreign->value, nullptr);
  value->finish(*value, &cell);
  cell.state = ReplyState::value;
}

}  // namespace

void make_call(ReplyCell& cell, Pid to, MessagePointer request, Wait wait) {
  Hub* hub = Hub::current_if_any();
  if (!hub) [[unlikely]]
    return call_from_foreign_thread(cell, to, std::move(request), wait);
  CallSite site(*hub, cell, wait);
  site.send_and_wait(to, std::move(request));
}

void make_call(ReplyCell& cell, NamedServer to, MessagePointer request, Wait wait) {
  Hub* hub = Hub::current_if_any();
  if (!hub) return call_from_foreign_thread(cell, resolve(to, 0), std::move(request), wait);
  CallSite site(*hub, cell, wait);
  site.send_and_wait(resolve(to, site.deadline()), std::move(request));
}

void send_cast(NamedServer to, MessagePointer request) noexcept {
  send_message(resolve(to, 0), std::move(request));
}

void throw_call_error(const ReplyCell& cell) { throw CallError(*cell.failure); }

// ---- start ----

Pid start_server(ServerTask& task, const SpawnOptions* options, bool is_linked) {
  // Ours until it is started: what is pending for the caller is thrown before that.
  const auto drop = [](Task* unstarted) { drop_reference(*unstarted); };
  std::unique_ptr<Task, decltype(drop)> unstarted(&task, drop);
  ReplyCellOf<void> cell;
  CallSite site(Hub::current(), cell, Wait::forever());
  task.start->starter = site.handle();
  static_cast<void>(unstarted.release());
  Pid pid;
  try {
    pid = start_actor(task, {.options = options, .link = is_linked});
  } catch (const BadName&) {
    throw StartError(ExitReason("already_started", whereis(options->name).value_or(Pid{})));
  }
  try {
    site.wait_for(pid);
  } catch (const TimeoutError&) {
    // Nobody would ever know it: it does not start.
    if (is_linked) unlink(pid);
    exit(pid, Reason::kill);
    throw;
  }
  if (cell.state == ReplyState::failed) throw StartError(*cell.failure);
  return pid;
}

}  // namespace detail

bool request_cancelled() {
  const detail::Actor& actor = detail::current_actor();
  if (!actor.is_server) return false;
  detail::Request* request =
      detail::current_request(static_cast<const detail::ServerTask&>(*actor.task));
  if (!request) return false;
  const detail::ReplyHandle asker = request->asked_by();
  if (!asker) return false;
  Hub& hub = *actor.task->hub;
  return hub.now() >= request->deadline || !detail::is_reply_awaited(hub, asker);
}

}  // namespace greenroom
