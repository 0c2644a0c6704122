// CLOCK_MONOTONIC at the price of rdtsc: the counter, corrected by the kernel's clock at every
// synchronize(). One hub's. Without an invariant counter every reading asks the kernel. Never runs
// backwards.
#pragma once

#include <algorithm>
#include <cstdint>

namespace greenroom::detail {

class TickClock {
 public:
  TickClock();
  // Asks the kernel; call it at least every few milliseconds while now() is in use, and after every
  // sleep.
  std::int64_t synchronize() noexcept;
  std::int64_t now() noexcept {
    std::int64_t now = 0;
    return read(now) ? now : synchronize();
  }
  // The same where it can be told without asking the kernel; false: it cannot.
  bool read(std::int64_t& now) const noexcept {
    const std::uint64_t ticks = __builtin_ia32_rdtsc() - base_ticks_;
    if (ticks >= trusted_ticks_) [[unlikely]]
      return false;
    now = std::max(base_ + to_nanoseconds(ticks), not_before_);
    return true;
  }

 private:
  __extension__ using Wide = unsigned __int128;

  std::int64_t to_nanoseconds(std::uint64_t ticks) const noexcept {
    return static_cast<std::int64_t>((static_cast<Wide>(ticks) * scale_) >> 32);
  }

  std::int64_t base_ = 0;  // kernel time at base_ticks_
  std::uint64_t base_ticks_ = 0;
  std::int64_t not_before_ = 0;      // no answer was later before the last synchronize
  std::uint64_t scale_ = 0;          // nanoseconds per tick, 32 fractional bits; 0 = not known yet
  std::uint64_t trusted_ticks_ = 0;  // so far from the base the counter is believed
  std::int64_t reference_ = 0;       // kernel time and ticks of the first synchronize, for scale_
  std::uint64_t reference_ticks_ = 0;
};

}  // namespace greenroom::detail
