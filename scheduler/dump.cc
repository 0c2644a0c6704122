#include "greenroom/scheduler/dump.h"

#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <utility>

#include "greenroom/scheduler/hub.h"
#include "greenroom/scheduler/report_writer.h"
#include "greenroom/scheduler/signal_safe_text.h"
#include "greenroom/scheduler/stack_trace.h"
#include "greenroom/scheduler/throw_hook.h"

namespace greenroom {
namespace detail {

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

std::string current_stack_text() { return to_string(capture_stack_trace(1)); }

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

void write_report(std::string before, const StackTrace* trace, std::string after) noexcept {
  const Hub* hub = Hub::current_if_any();
  write_report(hub && hub->environment() ? LookUp::here : LookUp::elsewhere, std::move(before),
               trace, std::move(after));
}

void report_uncaught(const Task& task, const char* what) noexcept {
  try {
    write_report(
        "greenroom: " + (what + describe(task)) + " failed with " + current_exception_text() + "\n",
        trace_of_current_exception());
  } catch (...) {
    write_in_order("greenroom: a greenlet failed, and so did its report\n");
  }
}

namespace {

std::string age_text(std::int64_t nanoseconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f s", static_cast<double>(nanoseconds) * 1e-9);
  return text;
}

}  // namespace

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

std::string stack_text(const Task& task) {
  if (task.state == TaskState::running) return current_stack_text();
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
