#include "greenroom/actors/ending.h"

#include "greenroom/actors/actor_hub.h"
#include "greenroom/actors/signals.h"

namespace greenroom::detail {

namespace {

bool is_orphan(Hub& hub, const Actor& actor) {
  if (!actor.parent || actor.parent.hub != hub.id()) return true;
  const Actor* parent = ActorHub::of(hub).pids.find(actor.parent.number);
  return !parent || is_own_task(hub, *parent->task);
}

}  // namespace

bool is_own_task(Hub& hub, const Task& task) { return !hub.environment() && &task == &hub.root(); }

void shut_down_all(Hub& hub) {
  const Task* self = hub.current_task();
  hub.for_each_task([&](Task& task) {
    if (&task == self || is_own_task(hub, task)) return;
    if (!task.extension) return task.ops->stop(task);
    Actor& actor = actor_of(task);
    if (!is_orphan(hub, actor) || actor.is_exiting() || actor.is_told_to_end) return;
    actor.is_told_to_end = true;
    const Pid from = actor.parent.hub == hub.id() ? actor.parent : Pid{};
    send_signal({SignalKind::exit, from, actor.pid(), 0, Reason::shutdown});
  });
}

void kill_all(Hub& hub) {
  const Task* self = hub.current_task();
  hub.for_each_task([&](Task& task) {
    if (&task != self && !is_own_task(hub, task)) task.ops->stop(task);
  });
}

}  // namespace greenroom::detail
