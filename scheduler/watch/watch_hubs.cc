// What the watch does for the hubs, as they know it: HubObserver's table.
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/hub_observer.h"
#include "greenroom/scheduler/system/signal_safe_text.h"
#include "greenroom/scheduler/task/describe.h"
#include "greenroom/scheduler/trace/overflow_report.h"
#include "greenroom/scheduler/watch/dump.h"
#include "greenroom/scheduler/watch/stall_watch.h"

namespace greenroom::detail {

namespace {

// For the overflow report, of which there is one: who overflowed.
constinit TaskIdentity overflowed;

std::size_t note_current_task(char* buffer, std::size_t size) noexcept {
  const Hub* hub = bound_hub;
  SignalSafeLine line;
  if (!hub || !hub->current_task()) return 0;
  overflowed = identity_of(*hub->current_task());
  append_plain_identity(line, overflowed);
  return line.text().copy(buffer, size);
}

std::string describe_overflowed() { return describe(overflowed); }

constexpr OverflowReporting overflow_reporting{&note_current_task, &run_on_stall_watch,
                                               &describe_overflowed};

void made(Hub& hub) {
  set_overflow_reporting(&overflow_reporting);
  if (!hub.environment()) watch_for_stalls(hub);
}

void ended(Hub& hub) noexcept {
  if (!hub.environment()) end_stall_watch(hub);
}

constexpr HubObserver observer{&made, &ended, &tell_stall_watch, &dump_hub};

// Before the first hub, which another initializer may make.
[[gnu::constructor(101)]] void observe_hubs() { hub_observer = &observer; }

}  // namespace

}  // namespace greenroom::detail
