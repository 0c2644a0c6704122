#include "greenroom/actors/server.h"

#include <algorithm>
#include <memory>

#include "greenroom/actors/crash_report.h"
#include "greenroom/actors/name_waiters.h"
#include "greenroom/actors/verbs.h"
#include "greenroom/scheduler/interrupt.h"

namespace greenroom {
namespace detail {

namespace {

// ---- the run loop ----

void construct(ServerTask& task) {
  throw_pending(task);  // told to exit before its constructor: it never runs
  task.start->construct(task.server_ops->state(task));
  task.actor.has_state = true;
  const auto start = std::move(task.start);
  send_reply<void>(start->starter, {});
}

bool is_for(const Request& request, const ServerTask& task) {
  return request.ops->server == task.server_ops->type ||
         *request.ops->server == *task.server_ops->type;
}

// As gen_server: the parent's exit ends a server that traps exits, through terminate.
void stop_with_parent(const ServerTask& task, const Message& message) {
  if (!message.is<Exit>() || !task.actor.parent) return;
  const Exit& exit = message.as<Exit>();
  if (exit.from == task.actor.parent)
    throw ActorExit(std::make_shared<const ExitReason>(exit.reason));
}

// What is no request of this server's.
[[gnu::noinline]] void handle_other(ServerTask& task, Message& message) {
  if (MessageAccess::kind(message) == MessageKind::signal) stop_with_parent(task, message);
  if (!task.server_ops->handle_other(task.server_ops->state(task), message)) {
    log_line(describe_actor(task) + " dropped a message of type " + message.type_name() +
             ": it has no handler for it");
  }
}

[[gnu::noinline]] void clean_up_after_handler(ServerTask& task) {
  end_detached_timeouts(task);
  if (task.actor.extras && !task.actor.extras->orphaned_replies.empty()) {
    fail_orphaned_replies(task.actor, ExitReason("no_reply"));
  }
}

// The mail that is there when the slice begins; what comes meanwhile waits for the next one.
// `message` is the caller's: what a handler throws on is still to be answered.
inline void handle_mail(ServerTask& task, MessagePointer& message) {
  Mailbox& mailbox = task.actor.mailbox;
  for (std::size_t left = std::min<std::size_t>(mailbox.size(), Hub::largest_slice); left > 0;
       --left) {
    if ((task.attention & attention::throws) != 0) [[unlikely]] {
      if (task.actor.is_exiting()) return;
      throw_pending();
    }
    if (mailbox.empty()) return;  // a handler took some itself
    message = mailbox.pop_front();
    auto& request = static_cast<Request&>(*message);
    if (MessageAccess::kind(*message) == MessageKind::request && is_for(request, task)) [[likely]] {
      task.current = &request;
      request.ops->invoke(task.server_ops->state(task), request);
      task.current = nullptr;
    } else {
      handle_other(task, *message);
    }
    message.reset();
    if (task.interrupts || task.actor.extras) clean_up_after_handler(task);
  }
  if (!task.actor.is_exiting()) throw_pending(task);
}

// Not on a kill, and not on an exit signal that was not trapped: as OTP.
void terminate(ServerTask& task, ExitReason& reason) noexcept {
  if (!task.actor.has_state || !task.server_ops->terminate || task.actor.is_exiting()) return;
  try {
    task.server_ops->terminate(task.server_ops->state(task), reason);
  } catch (...) {
    reason = reason_of_current_exception();
  }
}

void end_server(ServerTask& task, const ExitReason& reason, MessagePointer message) noexcept {
  ReplyHandle starter;
  if (task.start) starter = std::exchange(task.start->starter, {});
  task.current = nullptr;
  {
    const EndingScope ending(task, reason);
    message.reset();
    task.start.reset();
    if (std::exchange(task.actor.has_state, false))
      task.server_ops->destroy_state(task.server_ops->state(task));
  }
  if (starter && task.actor.extras) {
    // The starter hears of it by StartError, not by an exit signal.
    const Pid self = task.actor.pid();
    if (task.actor.extras->links.erase(task.actor.parent)) {
      send_signal(
          {SignalKind::unlink, self, task.actor.parent, new_reference(ActorHub::of(*task.hub))});
    }
  }
  end_actor(task.actor, reason);
  fail_reply(starter, reason);
}

}  // namespace

namespace {

[[gnu::noinline]] void end_with(ServerTask& task, ExitReason reason,
                                MessagePointer message) noexcept {
  terminate(task, reason);
  end_server(task, reason, std::move(message));
}

}  // namespace

void run_server(Task& raw) {
  auto& task = static_cast<ServerTask&>(raw);
  MessagePointer message;
  const auto reason = [&]() -> ExitReason {
    try {
      // An exit that finds no handler running is taken as a value: nothing needs to be unwound.
      if (!task.actor.is_exiting()) [[likely]] {
        if (task.start) [[unlikely]]
          construct(task);
        handle_mail(task, message);
      }
      if (!task.actor.is_exiting()) [[likely]]
        return Reason::normal;
      task.actor.has_failed = true;
      return *task.actor.extras->exit_reason;
    } catch (const ActorExit& exit) {
      task.actor.has_failed = true;
      return exit.reason();
    } catch (...) {
      task.actor.has_failed = true;
      return reason_of_current_exception();
    }
  }();
  if (!task.actor.has_failed) [[likely]] {
    task.state = TaskState::idle;
    if (!task.actor.mailbox.empty()) task.hub->activate(task);
    return;
  }
  end_with(task, reason, std::move(message));
}

void abandoned_server(Task& raw) noexcept {
  auto& task = static_cast<ServerTask&>(raw);
  const ActorExtras* extras = task.actor.extras;
  const ExitReason reason = extras && extras->exit_reason ? *extras->exit_reason : Reason::killed;
  // Its frames stay as they are, so the caller of the running handler is answered here; the state
  // is not touched.
  if (task.current) fail_reply(task.current->reply, reason);
  if (task.start) fail_reply(task.start->starter, reason);
  end_actor(task.actor, reason);
}

// ---- start ----

Pid start_server(ServerTask& task, const SpawnOptions* options, bool is_linked) {
  // Ours until it is started: what is pending for the caller is thrown before that.
  const auto drop = [](Task* unstarted) { drop_reference(*unstarted); };
  std::unique_ptr<Task, decltype(drop)> unstarted(&task, drop);
  ReplyCellOf<void> cell;
  CallSite site(cell, Wait::forever());
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
  if (cell.state == ReplyState::failed) throw StartError(std::move(*cell.failure));
  return pid;
}

// ---- calls ----

namespace {

Actor& caller_of_call() {
  Task& self = enter_blocking_call();
  return self.extension ? actor_of(self) : current_actor();
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

}  // namespace

CallSite::CallSite(ReplyCell& cell, Wait wait) : cell_(cell), caller_(caller_of_call()) {
  Task& task = *caller_.task;
  deadline_ = wait.is_forever() ? no_deadline : wait.to_deadline();
  if (task.interrupts) [[unlikely]]
    deadline_ = std::min(deadline_, inherited_deadline());
  cell.task = &task;
  cell.serial = ++ActorHub::of(*task.hub).last_call;
  caller_.reply_cell = &cell;
}

void CallSite::fail(const ExitReason& reason) {
  cell_.failure = reason;
  cell_.state = ReplyState::failed;
}

// True, and failed, if the call would wait for itself.
bool CallSite::refuse(Pid target) {
  if (local_ == &caller_) {
    fail(ExitReason("calling_self"));
    return true;
  }
  const std::string chain = cycle_through(*caller_.task, target);
  if (chain.empty()) return false;
  const std::string self = caller_.pid().to_string();
  fail(ExitReason("deadlock", self + " -> " + chain + " -> " + self));
  return true;
}

bool CallSite::aim_at(Pid target) {
  target_ = target;
  Hub& hub = *caller_.task->hub;
  if (target.hub != hub.id() || target.node != 0) return true;
  local_ = ActorHub::of(hub).pids.find(target.number);
  if (!local_) return true;  // dead, or on its way: sending tells
  const Task& task = *local_->task;
  if (task.state != TaskState::parked || task.park->waits_for.kind != WaitsFor::Kind::actor)
      [[likely]] {
    if (&task != caller_.task) [[likely]]
      return true;
  }
  return !refuse(target);
}

inline void CallSite::wait() {
  Hub& hub = *caller_.task->hub;
  while (cell_.state == ReplyState::waiting) {
    cell_.epoch = caller_.task->epoch;
    const ParkResult result = hub.park("call", deadline_, {WaitsFor::Kind::actor, target_.number});
    // A reply that came in the same round beats the deadline.
    if (cell_.state != ReplyState::waiting) return;
    if (result == ParkResult::expired) return fail(Reason::timeout);
    if (result == ParkResult::interrupted) throw_pending();
  }
}

void CallSite::send_and_wait(MessagePointer request) {
  const Placed placed = local_ ? place_message(*local_, std::move(request))
                               : send_message(target_, std::move(request));
  // A request that found no room, or nobody, has failed its caller by now, for want of a better
  // reason with this one.
  if (placed != Placed::yes) return fail(reason_of_placed(placed));
  wait();
}

void CallSite::wait_for(Pid target) {
  target_ = target;
  wait();
}

ExitReason reason_of_placed(Placed placed) {
  return placed == Placed::full ? ExitReason("mailbox_full") : Reason::noproc;
}

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

}  // namespace detail

bool request_cancelled() {
  const detail::Actor& actor = detail::current_actor();
  if (!actor.is_server) return false;
  const detail::Request* request = static_cast<const detail::ServerTask&>(*actor.task).current;
  if (!request || !request->reply) return false;
  Hub& hub = *actor.task->hub;
  return hub.now() >= request->deadline || !detail::is_reply_awaited(hub, request->reply);
}

}  // namespace greenroom
