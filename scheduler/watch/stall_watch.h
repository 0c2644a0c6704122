// The stall watch: one thread for the process that looks at the hubs, because a hub that is kept
// busy by one task cannot look at itself. It needs nothing of a hub that works as it should, but
// what the hub counts anyway.
// - A slice that has had the processor for 10 ms is told to end at its next message or blocking
//   call (Hub::end_slice), for others may be ready. Whether any are, the hub finds out in the
//   housekeeping that comes next: to publish it would cost it stores all the time, and timers and
//   descriptors are not ready before they are looked at.
// - A task that does not end its slice then, for GREENROOM_STALL_MS milliseconds (default 100; 0:
// for
//   ever), is told of on stderr, with its stack (stall_probe.h).
// - A hub that is stuck when a signal has asked for the end of its run ends the process
//   (end_guard.h).
//
// While all hubs are asleep, or stalled and told of, it is asleep too, without a period. A hub that
// a simulation drives is not watched.
//
// Rejected: a clock read in each slice (a quarter of what a switch costs); a periodic timer signal
//   (wakes idle processes); the budget of the slice as the word that ends it (the hub writes it as
//   well, and a write would be lost).
#pragma once

#include <atomic>
#include <cstdint>

namespace greenroom {
class Hub;
}

namespace greenroom::detail {

// Any thread that runs a hub: its hub is watched from now on, and no more. The thread is the
// calling one.
void watch_for_stalls(Hub& hub);
void end_stall_watch(Hub& hub) noexcept;
// Whoever runs there may keep the hub to itself: its slices are ended, but stalls are not told of.
void do_not_report_stalls(Hub& hub) noexcept;

enum class StallWatchState : std::uint32_t {
  off,     // nothing is watched
  awake,   // it looks from time to time
  asleep,  // a hub that has work wakes it
  unmade,  // the same in a forked child, whose first hub with work makes the thread
  called,  // it is to run what run_on_stall_watch was given
  ending,  // the thread is to end
};
extern std::atomic<StallWatchState> stall_watch_state;
void wake_stall_watch() noexcept;
// Any thread, async-signal-safe: if there is a thread, it looks now.
void rouse_stall_watch() noexcept;

// Async-signal-safe, any thread, for a process that is about to end: the watch's thread runs
// `work`, which does not return, as soon as it comes round; false if there is no such thread. It
// may be waiting for a lock meanwhile.
bool run_on_stall_watch(void (*work)() noexcept) noexcept;

// A hub has woken up, or does its housekeeping. Relaxed: what is missed now is seen at the next
// housekeeping; after a sleep the hub's seq_cst count of awake hubs comes before it.
inline void tell_stall_watch() noexcept {
  const StallWatchState state = stall_watch_state.load(std::memory_order_relaxed);
  if (state == StallWatchState::asleep || state == StallWatchState::unmade) [[unlikely]]
    wake_stall_watch();
}

}  // namespace greenroom::detail
