#include "greenroom/actors/run/ending.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <map>
#include <vector>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/delivery.h"
#include "greenroom/actors/hubs/ask_hub.h"

namespace greenroom::detail {

namespace {

// An actor of this hub that may look after others.
bool is_parent(Hub& hub, Pid pid) {
  const Actor* actor = ActorHub::of(hub).pids.find(pid.number);
  return actor && !is_own_task(hub, *actor->task);
}

bool is_orphan(Hub& hub, const Actor& actor, const std::vector<Pid>& living_elsewhere) {
  if (!actor.parent) return true;
  if (actor.parent.hub == hub.id()) return !is_parent(hub, actor.parent);
  return !std::binary_search(living_elsewhere.begin(), living_elsewhere.end(), actor.parent);
}

bool is_to_be_told(const Actor& actor) { return !actor.is_exiting() && !actor.is_told_to_end; }

// A hub that does not answer so long is kept busy by somebody, and its actors live.
constexpr std::chrono::milliseconds answer_limit(50);

}  // namespace

std::vector<Pid> living_parents_elsewhere(Hub& hub) {
  std::map<std::uint32_t, std::vector<Pid>> parents;  // by their hub
  hub.for_each_task([&](Task& task) {
    if (!task.extension || is_own_task(hub, task)) return;
    const Actor& actor = actor_of(task);
    if (is_to_be_told(actor) && actor.parent && actor.parent.hub != hub.id())
      parents[actor.parent.hub].push_back(actor.parent);
  });
  std::vector<Pid> living;
  for (auto& [port, pids] : parents) {
    std::sort(pids.begin(), pids.end());
    pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
    const auto answer = ask_hub<std::vector<Pid>>(
        port,
        [asked = pids](Hub& there) {
          std::vector<Pid> found;
          std::copy_if(asked.begin(), asked.end(), std::back_inserter(found),
                       [&](Pid pid) { return is_parent(there, pid); });
          return found;
        },
        answer_limit);
    const bool is_there = answer || post_to_port(port, [](Hub&) {});
    if (!is_there) continue;
    const std::vector<Pid>& found = answer ? *answer : pids;
    living.insert(living.end(), found.begin(), found.end());
  }
  std::sort(living.begin(), living.end());
  return living;
}

bool is_own_task(Hub& hub, const Task& task) { return !hub.environment() && &task == &hub.root(); }

void shut_down_all(Hub& hub, const std::vector<Pid>& living_elsewhere) {
  const Task* self = hub.current_task();
  hub.for_each_task([&](Task& task) {
    if (&task == self || is_own_task(hub, task)) return;
    if (!task.extension) return task.ops->stop(task);
    Actor& actor = actor_of(task);
    if (!is_to_be_told(actor) || !is_orphan(hub, actor, living_elsewhere)) return;
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
