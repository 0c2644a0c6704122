#include "greenroom/scheduler/hub/report.h"

#include <utility>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/task/describe.h"
#include "greenroom/scheduler/trace/report_writer.h"
#include "greenroom/scheduler/trace/throw_hook.h"

namespace greenroom::detail {

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

}  // namespace greenroom::detail
