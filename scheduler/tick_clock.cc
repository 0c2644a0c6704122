#include "greenroom/scheduler/tick_clock.h"

#include <cpuid.h>
#include <x86intrin.h>

#include <ctime>

namespace greenroom::detail {

namespace {

__extension__ using Wide = unsigned __int128;

// Beyond this distance from the base the counter is not trusted: the thread may have been stopped
// for long.
constexpr std::int64_t longest_extrapolation = 10'000'000;
// The scale is good to 1e-4 once it was measured over this span.
constexpr std::int64_t shortest_measurement = 1'000'000;

bool has_invariant_counter() noexcept {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(0x80000007U, &eax, &ebx, &ecx, &edx) != 0 && (edx & (1U << 8)) != 0;
}

const bool invariant_counter = has_invariant_counter();

}  // namespace

std::int64_t kernel_now() noexcept {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

TickClock::TickClock() {
  reference_ = last_ = base_ = kernel_now();
  reference_ticks_ = base_ticks_ = __rdtsc();
}

std::int64_t TickClock::synchronize() noexcept {
  base_ = kernel_now();
  base_ticks_ = __rdtsc();
  const std::int64_t span = base_ - reference_;
  if (invariant_counter && span >= shortest_measurement) {
    const std::uint64_t ticks = base_ticks_ - reference_ticks_;
    if (ticks > 0) {
      scale_ = static_cast<std::uint64_t>((static_cast<Wide>(span) << 32) / ticks);
    }
    if (span > std::int64_t{1'000'000'000} *
                   100) {  // keep the reference near: the scale follows the kernel's slewing
      reference_ = base_;
      reference_ticks_ = base_ticks_;
    }
  }
  if (base_ > last_) last_ = base_;
  return last_;
}

std::int64_t TickClock::now() noexcept {
  if (scale_ == 0) return synchronize();
  const std::uint64_t ticks = __rdtsc() - base_ticks_;
  const auto elapsed = static_cast<std::int64_t>((static_cast<Wide>(ticks) * scale_) >> 32);
  if (elapsed > longest_extrapolation || elapsed < 0) return synchronize();
  const std::int64_t now = base_ + elapsed;
  if (now > last_) last_ = now;
  return last_;
}

}  // namespace greenroom::detail
