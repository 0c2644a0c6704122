#include "greenroom/scheduler/watch/end_guard.h"

#include <atomic>

#include "greenroom/scheduler/time/tick_clock.h"
#include "greenroom/scheduler/time/time.h"
#include "greenroom/scheduler/watch/stall_watch.h"

namespace greenroom::detail {

namespace {

// Written by the guard's hub and by signal handlers, read by the watch's thread. All seq_cst: a few
// times in a process.
struct Guarded {
  std::atomic<Hub*> hub{nullptr};
  std::atomic<std::int64_t> grace{0};
  std::atomic<std::int64_t> excused_until{0};
  std::atomic<std::int64_t> first_signal_at{no_deadline};  // set before `signals` is counted
  std::atomic<std::uint32_t> signals{0};
};
constinit Guarded guarded;

}  // namespace

EndGuard::EndGuard(Hub& hub, std::int64_t grace) noexcept {
  guarded.signals = 0;
  guarded.first_signal_at = no_deadline;
  guarded.excused_until = 0;
  guarded.grace = grace;
  guarded.hub = &hub;
}

EndGuard::~EndGuard() { guarded.hub = nullptr; }

void EndGuard::excuse_for(std::int64_t nanoseconds) noexcept {
  guarded.excused_until = add_saturated(kernel_now(), nanoseconds);
}

void note_end_signal() noexcept {
  std::int64_t unset = no_deadline;
  guarded.first_signal_at.compare_exchange_strong(unset, kernel_now());
  guarded.signals.fetch_add(1);
  rouse_stall_watch();
}

EndRequest end_request() noexcept {
  const std::uint32_t signals = guarded.signals;
  if (signals == 0) return {};
  const bool is_second = signals > 1;
  return {.hub = guarded.hub,
          .due = is_second ? 0 : add_saturated(guarded.first_signal_at, guarded.grace),
          .excused_until = guarded.excused_until,
          .is_second = is_second};
}

}  // namespace greenroom::detail
