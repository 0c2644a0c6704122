// Texts for people: what a task is.
#pragma once

#include <string>

#include "greenroom/scheduler/task/task.h"

namespace greenroom::detail {

std::string demangle(const char* name);
// "actor <0.12.0> 'name'", "greenlet f()", "root greenlet".
std::string describe(const Task& task);
// Who a task is, for a text that is made later, on any thread. Async-signal-safe, on the hub's
// thread.
TaskIdentity identity_of(const Task& task) noexcept;
std::string describe(const TaskIdentity& identity);
// The identity in plain words, as far as that goes without allocating: async-signal-safe.
void append_plain_identity(SignalSafeLine& line, const TaskIdentity& identity) noexcept;
const char* state_name(TaskState state);
// "std::runtime_error: text" of the exception being handled.
std::string current_exception_text();

}  // namespace greenroom::detail
