// A word that threads of this process sleep on. Any thread; never for greenlets, whose hub would
// sleep with them.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdint>
#include <ctime>

#include "greenroom/scheduler/system/sanitizers.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::detail {

// The longest sleep in one piece. The thread sanitizer keeps a signal for a call it knows, which
// the system call below is not: a thread that slept for ever would never run the handler.
#if GREENROOM_TSAN
inline constexpr std::int64_t longest_futex_sleep = 10'000'000;
#else
inline constexpr std::int64_t longest_futex_sleep = no_deadline;
#endif

// Sleeps while the word has that value, up to `nanoseconds` (no_deadline: for ever). May return
// early.
template <class T>
void futex_wait(std::atomic<T>& word, T value, std::int64_t nanoseconds) noexcept {
  static_assert(sizeof word == sizeof(std::uint32_t));
  nanoseconds = std::min(nanoseconds, longest_futex_sleep);
  const timespec timeout{nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value,
            nanoseconds == no_deadline ? nullptr : &timeout, nullptr, 0);
#if GREENROOM_TSAN
  ::usleep(0);  // a call it knows
#endif
}

template <class T>
void futex_wake_all(std::atomic<T>& word) noexcept {
  static_assert(sizeof word == sizeof(std::uint32_t));
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace greenroom::detail
