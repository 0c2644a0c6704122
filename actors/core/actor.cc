#include "greenroom/actors/core/actor.h"

#include <atomic>
#include <cassert>
#include <stdexcept>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/crash_report.h"
#include "greenroom/actors/core/delivery.h"
#include "greenroom/actors/core/exit_rules.h"
#include "greenroom/actors/core/reply.h"
#include "greenroom/actors/names/registry.h"
#include "greenroom/actors/values/call_error.h"
#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/system/signal_safe_text.h"
#include "greenroom/scheduler/task/describe.h"
#include "greenroom/scheduler/trace/throw_hook.h"

namespace greenroom::detail {

ActorExtras::ActorExtras() = default;
ActorExtras::~ActorExtras() {
  while (end_listeners) end_listeners->stop_listening();
}

void EndListener::listen_to(Actor& actor) {
  assert(!link_);
  EndListener*& first = actor.extra().end_listeners;
  next_ = first;
  link_ = &first;
  if (next_) next_->link_ = &next_;
  first = this;
}

void EndListener::stop_listening() noexcept {
  if (!link_) return;
  *link_ = next_;
  if (next_) next_->link_ = link_;
  next_ = nullptr;
  link_ = nullptr;
}

ActorExtras& Actor::make_extras() {
  extras = new ActorExtras;
  return *extras;
}

Actor::~Actor() { delete extras; }

void fail_orphaned_replies(Actor& actor, const ExitReason& reason) noexcept {
  if (!actor.extras) return;
  auto orphans = std::exchange(actor.extras->orphaned_replies, {});
  for (ReplyHandle& handle : orphans) fail_reply(handle, reason);
}

// The actors' part of a hub.

namespace {

std::uint64_t next_incarnation() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

ActorHub::ActorHub(const Hub& hub)
    : where(Pid{0, hub.id()}.where()), incarnation(next_incarnation()) {}
ActorHub::~ActorHub() = default;

void ActorHub::make(Hub& hub) { hub.extension(Layer::actors) = std::make_unique<ActorHub>(hub); }

std::uint64_t new_reference(ActorHub& hub) {
  constexpr std::uint64_t range = 1U << 16;
  static std::atomic<std::uint64_t> next{1};
  if (hub.next_reference == hub.last_reference) {
    hub.next_reference = next.fetch_add(range, std::memory_order_relaxed);
    hub.last_reference = hub.next_reference + range;
  }
  return hub.next_reference++;
}

EndingScope::EndingScope(Actor& actor) noexcept
    : actor_(actor), destroyer_(actor.task->hub->current_task()) {
  EndingScope*& first = ActorHub::of(*actor.task->hub).endings;
  next_ = std::exchange(first, this);
}

EndingScope::~EndingScope() {
  EndingScope** link = &ActorHub::of(*actor_.task->hub).endings;
  while (*link != this) link = &(*link)->next_;
  *link = next_;
}

Actor* EndingScope::current(Hub& hub) noexcept {
  const Task* task = hub.current_task();
  for (EndingScope* scope = ActorHub::of(hub).endings; scope; scope = scope->next_) {
    if (scope->destroyer_ == task) return &scope->actor_;
  }
  return nullptr;
}

void tell_if_thread(const Actor& actor, const ExitReason& reason) noexcept {
  const Fiber* const fiber = actor.task->fiber;
  if (!fiber || !fiber->is_thread()) return;
  log_line("actor " + actor.pid().to_string() + ", which is a thread's own stack, ends: " +
           reason.to_string() + ". If nothing there catches it, that is std::terminate");
}

// Who is running.

namespace {

ActorExit exit_of_actor(const Task& task) {
  const auto& actor = static_cast<const Actor&>(*task.extension);
  tell_if_thread(actor, *actor.extras->exit_reason);
  return ActorExit(actor.extras->exit_reason);
}

// A greenlet that became an actor is over.
void promoted_ended(Task& task) noexcept {
  Actor& actor = actor_of(task);
  if (task.fiber &&
      task.fiber->is_thread()) {  // a thread's own stack is no greenlet; it ends with its thread
    end_actor(actor, Reason::normal);
    task.extension = nullptr;
    delete &actor;
    return;
  }
  const auto& greenlet = static_cast<const GreenletTask&>(task);
  ExitReason reason = Reason::normal;
  if (greenlet.ended_by == GreenletOutcome::killed) reason = Reason::killed;
  if (greenlet.ended_by == GreenletOutcome::error) {
    try {
      std::rethrow_exception(greenlet.error);
    } catch (...) {
      reason = reason_of_current_exception();
    }
  }
  end_actor(actor, reason);
  task.extension = nullptr;
  delete &actor;
}

void identify_actor(const Task& task, TaskIdentity& identity) noexcept {
  const auto& actor = static_cast<const Actor&>(*task.extension);
  identity.hub = task.hub->id();
  identity.number = actor.number;
  if (!actor.extras) return;
  // The label is set before the actor runs. Its names are not: they may just be changing.
  const std::string& label = actor.extras->label;
  label.copy(identity.label, sizeof identity.label - 1);
}

std::string describe_actor(Pid pid, const std::vector<std::string>& names, std::string_view label,
                           const std::type_info* type) {
  std::string text = "actor " + pid.to_string();
  for (const std::string& name : names) text += " '" + name + "'";
  if (!label.empty()) return text.append(" ").append(label);
  if (type) text += " " + demangle(type->name());
  return text;
}

std::string describe_identity(const TaskIdentity& identity) {
  const Pid pid{0, identity.hub, identity.number};
  return describe_actor(pid, names_of(pid), identity.label, identity.type);
}

void append_actor(const TaskIdentity& identity, SignalSafeLine& line) noexcept {
  const Pid pid{0, identity.hub, identity.number};
  (line << "actor <").add_number(pid.node, 10) << ".";
  (line.add_number(pid.index(), 10) << ".").add_number(pid.serial(), 10) << ">";
}

constexpr TaskExtension::Ops actor_ops{&exit_of_actor, &promoted_ended, &identify_actor,
                                       &describe_identity, &append_actor};

void promote(Task& task) {
  auto* actor = new Actor(task);
  actor->number = ActorHub::of(*task.hub).pids.bind(*actor);
  task.extension = actor;
}

// receive() in a plain greenlet makes it an actor, too.
const bool extension_hook_is_set = [] {
  make_extension = &promote;
  exclude_from_throw_capture(typeid(ActorExit));
  exclude_from_throw_capture(typeid(green::GreenletExit));
  exclude_from_throw_capture(typeid(TimeoutError));
  return true;
}();

}  // namespace

Actor::Actor(Task& owner, ActorState first) : task(&owner), state(first) {
  extension_ops = &actor_ops;
  static_cast<void>(extension_hook_is_set);
}

Actor& current_actor() {
  Hub& hub = Hub::current();
  Task* task = hub.current_task();
  if (!task) {
    throw std::logic_error(
        "greenroom: hub work (a timer, a poller callback, a posted function) is no actor; spawn "
        "one there");
  }
  if (!task->extension) promote(*task);
  return actor_of(*task);
}

Pid pid_of_greenlet(Task& task) {
  if (task.hub != Hub::current_if_any())
    throw std::logic_error("greenroom: Greenlet::pid() on another hub than the greenlet's own");
  if (task.state == TaskState::finished)
    throw std::logic_error("greenroom: Greenlet::pid() of a greenlet that has ended");
  if (!task.extension) promote(task);
  return actor_of(task).pid();
}

Actor* current_actor_if_any() noexcept {
  Hub* hub = Hub::current_if_any();
  Task* task = hub ? hub->current_task() : nullptr;
  return task && task->extension ? &actor_of(*task) : nullptr;
}

// End.

void free_names(Actor& actor) {
  if (!actor.extras) return;
  for (const std::string& name : std::exchange(actor.extras->names, {}))
    free_name(name, actor.pid());
}

void end_actor(Actor& actor, const ExitReason& outcome) noexcept {
  ActorHub& hub = ActorHub::of(*actor.task->hub);
  // However its body has come to its end: an exit that was accepted is why.
  const std::shared_ptr<const ExitReason> accepted =
      actor.extras ? actor.extras->exit_reason : nullptr;
  const ExitReason& reason = accepted ? *accepted : outcome;
  const Pid self = actor.pid();
  // What ended by a signal is told by whoever sent it.
  if (!reason.is_quiet() && !actor.is_exiting()) report_crash(actor, reason);
  actor.advance_to(ActorState::ended);
  // The number is dead before the names are free, and both before anybody is told.
  hub.pids.release(actor.number);
  if (ActorExtras* extras = actor.extras) {
    free_names(actor);
    while (EndListener* listener = extras->end_listeners) {
      listener->stop_listening();
      listener->on_actor_end();
    }
    extras->links.for_each([&](const Pid& peer, const LinkState& link) {
      if (link.is_active()) send_signal({SignalKind::link_exit, self, peer, 0, reason});
    });
    extras->watchers.for_each([&](std::uint64_t reference, const Pid& watcher) {
      send_signal({SignalKind::down, self, watcher, reference, reason});
    });
    extras->watching.for_each([&](std::uint64_t reference, const Pid& target) {
      send_signal({SignalKind::demonitor, self, target, reference});
    });
    for (const Signal& signal : extras->too_late) send_signal(signal);
  }
  if (!actor.mailbox.empty()) {
    const EndingScope ending(actor);
    actor.mailbox.clear();
  }
  if (actor.extras) {
    fail_orphaned_replies(actor, reason);
    delete std::exchange(actor.extras, nullptr);
  }
}

ExitReason reason_of_current_exception() {
  try {
    throw;
  } catch (const ActorExit& exit) {
    return exit.reason();
  } catch (const green::GreenletExit&) {
    return Reason::killed;
  } catch (const TimeoutError&) {
    return Reason::timeout;
  } catch (const green::LoopExit&) {
    return Reason::deadlock;
  } catch (const CallError& error) {
    return error.reason();
  } catch (...) {
    return ExitReason::from_current_exception();
  }
}

void stop_actor(Task& task) noexcept {
  if ((task.attention & attention::exiting) != 0) {
    interrupt_park(task);
  } else {
    accept_exit(actor_of(task), Reason::killed);
  }
}

void abandoned_actor(Task& task) noexcept {
  Actor& actor = actor_of(task);
  const ExitReason reason =
      actor.extras && actor.extras->exit_reason ? *actor.extras->exit_reason : Reason::killed;
  end_actor(actor, reason);
}

std::string describe_actor(const Task& task) {
  const auto& actor = static_cast<const Actor&>(*task.extension);
  if (!actor.extras) return describe_actor(actor.pid(), {}, {}, task.ops->type);
  return describe_actor(actor.pid(), actor.extras->names, actor.extras->label, task.ops->type);
}

}  // namespace greenroom::detail

namespace greenroom {

std::string Pid::to_string() const {
  if (number == 0) return "<nobody>";
  return "<" + std::to_string(node) + "." + std::to_string(index()) + "." +
         std::to_string(serial()) + ">";
}

}  // namespace greenroom
