#include "greenroom/scheduler/watch/debug_layout.h"

#include <cstddef>

#include "greenroom/scheduler/fiber/fiber.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/park.h"
#include "greenroom/scheduler/port/port.h"
#include "greenroom/scheduler/task/task.h"

// Of classes with private members it is "conditionally supported"; these have no virtual bases.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace greenroom::detail {

namespace {

constexpr std::size_t value(TaskState state) { return static_cast<std::size_t>(state); }

}  // namespace

// A friend of the classes whose members it lists.
struct DebugLayout {
  static constexpr DebugEntry entries[] = {
      {"Port::table", Port::limit, Port::table_},
      {"Port::hub", offsetof(Port, hub_)},
      {"Port::sleep_word", offsetof(Port, sleep_word_)},
      {"Hub::first_task", offsetof(Hub, first_task_)},
      {"Hub::current", offsetof(Hub, current_)},
      {"Hub::root", offsetof(Hub, root_)},
      {"Hub::environment", offsetof(Hub, environment_)},
      {"Hub::housekept_at", offsetof(Hub, housekept_at_)},
      {"Hub::error_number", offsetof(Hub, thread_) + offsetof(ThreadState, error_number)},
      {"Task::ops", offsetof(Task, ops)},
      {"Task::fiber", offsetof(Task, fiber)},
      {"Task::park", offsetof(Task, park)},
      {"Task::extension", offsetof(Task, extension)},
      {"Task::next_in_hub", offsetof(Task, next_in_hub)},
      {"Task::state", offsetof(Task, state)},
      {"TaskOps::type", offsetof(TaskOps, type)},
      {"TaskState::unscheduled", value(TaskState::unscheduled)},
      {"TaskState::fresh", value(TaskState::fresh)},
      {"TaskState::ready", value(TaskState::ready)},
      {"TaskState::running", value(TaskState::running)},
      {"TaskState::parked", value(TaskState::parked)},
      {"TaskState::idle", value(TaskState::idle)},
      {"TaskState::finished", value(TaskState::finished)},
      {"TaskState::abandoned", value(TaskState::abandoned)},
      {"ParkFrame::reason", offsetof(ParkFrame, reason)},
      {"ParkFrame::deadline", offsetof(ParkFrame, deadline)},
      {"ParkFrame::since", offsetof(ParkFrame, since)},
      {"Fiber::context", offsetof(Fiber, context_)},
      {},
  };
};

}  // namespace greenroom::detail

extern "C" {
extern const greenroom::detail::DebugEntry* const greenroom_debug_layout;
const greenroom::detail::DebugEntry* const greenroom_debug_layout =
    greenroom::detail::DebugLayout::entries;
}
