#include "greenroom/scheduler/time/tick_clock.h"

#include <cpuid.h>

#include "greenroom/scheduler/time/time.h"

namespace greenroom::detail {

namespace {

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

TickClock::TickClock() {
  reference_ = not_before_ = base_ = kernel_now();
  reference_ticks_ = base_ticks_ = __builtin_ia32_rdtsc();
}

std::int64_t TickClock::synchronize() noexcept {
  const std::int64_t kernel = kernel_now();
  const std::uint64_t ticks = __builtin_ia32_rdtsc();
  // No answer since the last time was later than this one. A counter that was set back gave none.
  const std::uint64_t ticks_since = ticks - base_ticks_;
  const bool is_set_back = ticks_since > ~std::uint64_t{0} / 2;
  const std::uint64_t answered = is_set_back ? 0 : std::min(ticks_since, trusted_ticks_);
  not_before_ = std::max(not_before_, base_ + to_nanoseconds(answered));
  base_ = kernel;
  base_ticks_ = ticks;
  const std::int64_t span = base_ - reference_;
  if (invariant_counter && span >= shortest_measurement) {
    const std::uint64_t counted = base_ticks_ - reference_ticks_;
    if (counted > 0 && counted >> 32 < static_cast<std::uint64_t>(span)) {
      scale_ = static_cast<std::uint64_t>((static_cast<Wide>(span) << 32) / counted);
      trusted_ticks_ =
          static_cast<std::uint64_t>((static_cast<Wide>(longest_extrapolation) << 32) / scale_);
    }
    if (span > std::int64_t{1'000'000'000} *
                   100) {  // keep the reference near: the scale follows the kernel's slewing
      reference_ = base_;
      reference_ticks_ = base_ticks_;
    }
  }
  not_before_ = std::max(not_before_, base_);
  return not_before_;
}

}  // namespace greenroom::detail
