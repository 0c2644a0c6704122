// What lives on a hub, as text for people: what everything parked waits for, since when, and where.
#pragma once

#include <string>

#include "greenroom/scheduler/task/task.h"

namespace greenroom {

// Everything that lives on this thread's hub, as text: name, state, what it waits for, since when,
// and, of what is parked, where. For logs and the debugger; safe at any time on the hub's thread.
std::string dump();

namespace detail {

std::string dump_hub(Hub& hub);
// The stack of a task of this hub, one line per frame; empty if it has none, or is a root.
std::string stack_text(const Task& task);

}  // namespace detail
}  // namespace greenroom
