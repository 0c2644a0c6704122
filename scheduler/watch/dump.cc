#include "greenroom/scheduler/watch/dump.h"

#include <cstdio>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/task/describe.h"
#include "greenroom/scheduler/trace/stack_trace.h"

namespace greenroom {
namespace detail {

namespace {

std::string age_text(std::int64_t nanoseconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f s", static_cast<double>(nanoseconds) * 1e-9);
  return text;
}

}  // namespace

std::string stack_text(const Task& task) {
  if (task.state == TaskState::running) return to_string(capture_stack_trace(1));
  const auto [low, high] = task.hub->stack_bounds(task);
  return low ? to_string(capture_suspended(task.fiber->context(), low, high, red_zone))
             : std::string();
}

std::string dump_hub(Hub& hub) {
  constexpr std::size_t listed_limit = 1000;
  std::string text;
  std::size_t listed = 0;
  const std::int64_t now = hub.now();
  hub.for_each_task([&](Task& task) {
    if (++listed > listed_limit) return;
    text += "  " + describe(task) + ": ";
    if (task.state != TaskState::parked) {
      text += std::string(state_name(task.state)) + "\n";
      return;
    }
    text +=
        std::string("parked in ") + task.park->reason + " for " + age_text(now - task.park->since);
    if (task.park->deadline != no_deadline)
      text += ", " + age_text(close_deadline(task.park->deadline, now) - now) + " left";
    text += "\n";
    const auto [low, high] = hub.stack_bounds(task);
    if (low) text += to_string(capture_suspended(task.fiber->context(), low, high, red_zone), 12);
  });
  if (listed > listed_limit)
    text += "  ... and " + std::to_string(listed - listed_limit) + " more\n";
  return text;
}

}  // namespace detail

std::string dump() {
  Hub* hub = Hub::current_if_any();
  if (!hub) return "no hub on this thread\n";
  return "hub " + std::to_string(hub->id()) + ":\n" + detail::dump_hub(*hub);
}

}  // namespace greenroom
