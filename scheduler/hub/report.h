// Reports of what happens on a hub, on stderr: see report_writer.h for how they are written.
#pragma once

#include <string>

#include "greenroom/scheduler/task/task.h"

namespace greenroom::detail {

struct StackTrace;

// Writes a report that was made on the calling thread, if it is a hub's: its stack is looked up on
// another thread, but in a simulation before this returns.
void write_report(std::string before, const StackTrace* trace, std::string after = {}) noexcept;
// "greenlet f() failed with std::runtime_error: text" and the stack at the throw, on stderr; in a
// catch block. `what` of it: "a rawlink of ".
void report_uncaught(const Task& task, const char* what = "") noexcept;

}  // namespace greenroom::detail
