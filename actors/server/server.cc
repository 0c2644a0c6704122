#include "greenroom/actors/server/server.h"

#include <algorithm>
#include <memory>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/crash_report.h"
#include "greenroom/actors/verbs/verbs.h"
#include "greenroom/scheduler/hub/interrupt.h"

namespace greenroom {
namespace detail {

namespace {

[[gnu::noinline]] void construct(ServerTask& task) {
  task.start->construct(task.server());
  task.actor.advance_to(ActorState::running);
  const auto start = std::move(task.start);
  send_reply<void>(start->starter, {});
}

// As gen_server: the parent's exit ends a server that traps exits, through terminate. start() makes
// no parent; the end of the run speaks for it.
void stop_with_parent(const ServerTask& task, const Message& message) {
  const Actor& actor = task.actor;
  if (!message.is<Exit>() || !actor.parent || !(actor.has_parent || actor.is_told_to_end)) return;
  const Exit& exit = message.as<Exit>();
  if (exit.from == actor.parent) throw ActorExit(std::make_shared<const ExitReason>(exit.reason));
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

// The mail that is there when the slice begins; what comes meanwhile waits for the next one, and so
// does the rest of a slice that has had the processor for too long. What a
// handler throws on stays in `current`: it is still to be answered. After a handler that returns,
// `current` is stale; it is cleared only where somebody could ask for it: a store for each message
// less.
inline void handle_mail(ServerTask& task) {
  std::size_t left = task.actor.mailbox.size();
  for (left = std::min(left, Hub::slice_for(left)); left > 0;) {
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
    if (--left == 0) break;
    if (task.hub->may_be_overdue() && task.hub->take_overdue()) [[unlikely]]
      break;
  }
}

// Not on a kill, and not on an exit signal that was not trapped: as OTP.
void terminate(ServerTask& task, ExitReason& reason) noexcept {
  if (task.actor.state != ActorState::terminating || !task.server_ops->terminate ||
      task.actor.is_exiting())
    return;
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
    const EndingScope ending(task.actor);
    message.reset();
    task.start.reset();
    if (task.actor.state == ActorState::terminating) {
      task.actor.advance_to(ActorState::ending);
      task.server_ops->destroy_state(task.server());
    }
    end_locals(task);
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
  const bool has_state = task.actor.state == ActorState::running;
  task.actor.advance_to(has_state ? ActorState::terminating : ActorState::ending);
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
    if (!task.actor.mailbox.empty())
      hub.is_giving_way() ? hub.activate_last(task) : hub.activate(task);
  }
}

void abandoned_server(Task& raw) noexcept {
  auto& task = static_cast<ServerTask&>(raw);
  const ActorExtras* extras = task.actor.extras;
  const ExitReason reason = extras && extras->exit_reason ? *extras->exit_reason : Reason::killed;
  // Its frames stay as they are, so the caller of the running handler is answered here; the state
  // is not touched.
  Request* request = current_request(task);
  ReplyHandle caller =
      request && request->owes_reply() ? std::exchange(request->reply, {}) : ReplyHandle();
  ReplyHandle starter = task.start ? std::exchange(task.start->starter, {}) : ReplyHandle();
  end_actor(task.actor, reason);
  fail_reply(caller, reason);
  fail_reply(starter, reason);
}

}  // namespace detail

bool request_cancelled() {
  const detail::Actor& actor = detail::current_actor();
  if (actor.task->ops->run != &detail::run_server) return false;
  const detail::Request* request =
      detail::current_request(static_cast<const detail::ServerTask&>(*actor.task));
  if (!request) return false;
  const detail::ReplyHandle& asker = request->reply;
  if (!asker) return false;
  Hub& hub = *actor.task->hub;
  if (asker.hub == hub.id()) return detail::has_caller_given_up(hub, asker);
  return hub.now() >= request->deadline;
}

}  // namespace greenroom
