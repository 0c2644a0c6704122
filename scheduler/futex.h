// A word that threads of this process sleep on. Any thread; never for greenlets, whose hub would
// sleep with them.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <ctime>

#include "greenroom/scheduler/time.h"

namespace greenroom::detail {

// Sleeps while the word has that value, up to `nanoseconds` (no_deadline: for ever). May return
// early.
template <class T>
void futex_wait(std::atomic<T>& word, T value, std::int64_t nanoseconds) noexcept {
  static_assert(sizeof word == sizeof(std::uint32_t));
  const timespec timeout{nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value,
            nanoseconds == no_deadline ? nullptr : &timeout, nullptr, 0);
}

template <class T>
void futex_wake_all(std::atomic<T>& word) noexcept {
  static_assert(sizeof word == sizeof(std::uint32_t));
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace greenroom::detail
