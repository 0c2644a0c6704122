#include "greenroom/actors/verbs/info.h"

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/hubs/ask_hub.h"
#include "greenroom/actors/hubs/placement.h"
#include "greenroom/scheduler/task/describe.h"
#include "greenroom/scheduler/trace/stack_trace.h"
#include "greenroom/scheduler/watch/dump.h"

namespace greenroom {

namespace {

using detail::Actor;
using detail::ActorHub;
using detail::TaskState;

std::string state_of(const detail::Task& task) {
  if (task.state == TaskState::parked) return std::string("parked in ") + task.park->reason;
  return detail::state_name(task.state);
}

ProcessInfo info_of(const Actor& actor) {
  ProcessInfo info;
  info.pid = actor.pid();
  info.label = detail::describe(*actor.task);
  info.state = state_of(*actor.task);
  info.mailbox_size = actor.mailbox.size();
  info.traps_exits = actor.traps_exits;
  info.is_exiting = actor.is_exiting();
  info.parent = actor.parent;
  if (actor.extras) {
    info.names = actor.extras->names;
    info.dead_letters = actor.extras->dead_letters;
    info.monitored_by = actor.extras->watchers.size();
    actor.extras->links.for_each([&](const Pid& peer, const detail::LinkState& link) {
      if (link.is_active()) info.links.push_back(peer);
    });
    actor.extras->watching.for_each(
        [&](std::uint64_t, const Pid& target) { info.monitors.push_back(target); });
  }
  return info;
}

}  // namespace

ProcessInfo process_info(Pid pid) {
  if (!pid || pid.node != 0) return {};
  auto info = detail::ask_hub<ProcessInfo>(pid.hub, [pid](Hub& hub) {
    const Actor* actor = ActorHub::of(hub).pids.find(pid.number);
    return actor ? info_of(*actor) : ProcessInfo();
  });
  return info.value_or(ProcessInfo());
}

std::vector<Pid> processes() {
  std::vector<Pid> all;
  for (const std::uint32_t port : detail::ports_beside(Hub::current())) {
    const auto some = detail::ask_hub<std::vector<Pid>>(port, [](Hub& hub) {
      std::vector<Pid> pids;
      hub.for_each_task([&](detail::Task& task) {
        if (task.extension) pids.push_back(detail::actor_of(task).pid());
      });
      return pids;
    });
    if (some) all.insert(all.end(), some->begin(), some->end());
  }
  return all;
}

std::string current_stack(Pid pid) {
  return detail::current_stack_within(pid, Wait::forever()).value_or(std::string());
}

std::optional<std::string> detail::current_stack_within(Pid pid, Wait wait) {
  if (!pid || pid.node != 0) return std::nullopt;
  return ask_hub<std::string>(
      pid.hub,
      [pid](Hub& hub) {
        const Actor* actor = ActorHub::of(hub).pids.find(pid.number);
        return actor ? stack_text(*actor->task) : std::string();
      },
      wait);
}

}  // namespace greenroom
