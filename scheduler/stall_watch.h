// The stall watch: one thread for the process that tells of a task which has kept its hub to itself
// for too long, with its stack. A hub cannot tell by itself, for it does not run.
//
// It looks at what each hub counts, and needs nothing of a hub that works as it should. While all
// hubs are asleep, or stalled and told of, it is asleep too, without a period. GREENROOM_STALL_MS
// says how long is too long, in milliseconds (default 100; 0: no watch, and no thread).
//
// The stack is taken on the thread that stalls, by a signal (SIGURG, which nobody else minds). A
// signal interrupts system calls: those that the kernel does not restart (poll, nanosleep) return
// EINTR, once in a stall.
//
// Rejected: a clock read in each slice (a quarter of what a switch costs); a periodic timer signal
//   (wakes idle processes); reading the stalled thread's stack from outside (it runs meanwhile).
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

enum class StallWatchState : std::uint32_t {
  off,     // nothing is watched
  awake,   // it looks from time to time
  asleep,  // a hub that has work wakes it
  ending,  // the thread is to end
};
extern std::atomic<StallWatchState> stall_watch_state;
void wake_stall_watch() noexcept;

// A hub has woken up, or does its housekeeping. Relaxed: what is missed now is seen at the next
// housekeeping; after a sleep the hub's seq_cst count of awake hubs comes before it.
inline void tell_stall_watch() noexcept {
  if (stall_watch_state.load(std::memory_order_relaxed) == StallWatchState::asleep) [[unlikely]]
    wake_stall_watch();
}

}  // namespace greenroom::detail
