// Texts for people: what a task is, what everything parked waits for, and where.
#pragma once

#include <string>

#include "greenroom/scheduler/task.h"

namespace greenroom {

// Everything that lives on this thread's hub, as text: name, state, what it waits for, since when,
// and, of what is parked, where. For logs and the debugger; safe at any time on the hub's thread.
std::string dump();

namespace detail {

struct StackTrace;

std::string demangle(const char* name);
// "actor <0.12.0> 'name'", "greenlet f()", "root greenlet".
std::string describe(const Task& task);
// The same, later, on any thread.
TaskIdentity identity_of(const Task& task) noexcept;  // async-signal-safe, on the hub's thread
std::string describe(const TaskIdentity& identity);
// The same in plain words, as far as that goes without allocating: async-signal-safe.
void append_plain_identity(SignalSafeLine& line, const TaskIdentity& identity) noexcept;
std::string dump_hub(Hub& hub);
const char* state_name(TaskState state);
// The stack of a task of this hub, one line per frame; empty if it has none, or is a root.
std::string stack_text(const Task& task);
// The stack of the running task, one line per frame.
std::string current_stack_text();
// Writes a report that was made on the calling thread, if it is a hub's: its stack is looked up on
// another thread, but in a simulation before this returns (report_writer.h).
void write_report(std::string before, const StackTrace* trace, std::string after = {}) noexcept;
// "greenlet f() failed with std::runtime_error: text" and the stack at the throw, on stderr; in a
// catch block. `what` of it: "a rawlink of ".
void report_uncaught(const Task& task, const char* what = "") noexcept;
// "std::runtime_error: text" of the exception being handled.
std::string current_exception_text();

}  // namespace detail
}  // namespace greenroom
