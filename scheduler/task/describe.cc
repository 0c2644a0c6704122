#include "greenroom/scheduler/task/describe.h"

#include <cxxabi.h>

#include <cstdlib>
#include <exception>

#include "greenroom/scheduler/system/signal_safe_text.h"

namespace greenroom::detail {

std::string demangle(const char* name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = status == 0 && text ? text : name;
  std::free(text);
  return result;
}

std::string describe(const Task& task) { return task.ops->describe(task); }

TaskIdentity identity_of(const Task& task) noexcept {
  TaskIdentity identity;
  identity.type = task.ops->type;
  if (task.extension) {
    identity.extension_ops = task.extension->extension_ops;
    identity.extension_ops->identify(task, identity);
  }
  return identity;
}

std::string describe(const TaskIdentity& identity) {
  if (identity.extension_ops) return identity.extension_ops->describe(identity);
  return identity.type ? "greenlet " + demangle(identity.type->name()) : "root greenlet";
}

void append_plain_identity(SignalSafeLine& line, const TaskIdentity& identity) noexcept {
  if (identity.extension_ops) {
    identity.extension_ops->append_to(identity, line);
  } else {
    line << (identity.type ? "greenlet" : "root greenlet");
  }
  if (identity.label[0] != 0) {
    line << " " << identity.label;
  } else if (identity.type) {
    append_plain_type(line << " ", identity.type->name());
  }
}

std::string current_exception_text() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  std::string name = type ? demangle(type->name()) : "an unknown exception";
  try {
    throw;
  } catch (const std::exception& error) {
    return name + ": " + error.what();
  } catch (const std::string& text) {
    return "std::string: " + text;
  } catch (const char* text) {
    return std::string("const char*: ") + text;
  } catch (...) {
    return name;
  }
}

const char* state_name(TaskState state) {
  switch (state) {
    case TaskState::unscheduled:
      return "not started";
    case TaskState::fresh:
      return "ready, without a stack";
    case TaskState::ready:
      return "ready";
    case TaskState::running:
      return "running";
    case TaskState::parked:
      return "parked";
    case TaskState::idle:
      return "idle, without a stack";
    case TaskState::finished:
      return "finished";
    case TaskState::abandoned:
      return "abandoned";
  }
  return "?";
}

}  // namespace greenroom::detail
