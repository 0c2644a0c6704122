// Time as every layer sees it: the clock, and Wait, "how long a blocking call may take".
// Thread-safe. All times are nanoseconds of CLOCK_MONOTONIC, or of a simulation's virtual clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>

namespace greenroom {

// A steady std clock. In a simulation it is virtual and moves only when every actor waits.
struct clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<clock, duration>;
  static constexpr bool is_steady = true;
  static time_point now() noexcept;
};

// How long a call may block: a duration from now, a point in time, or for ever. A duration of zero
// or less polls: the call takes what is there and does not wait. Implicit from durations and time
// points.
class Wait {
 public:
  template <class R, class P>
  constexpr Wait(std::chrono::duration<R, P> duration)
      : nanoseconds_(saturate(duration)), kind_(Kind::duration) {}
  constexpr Wait(clock::time_point deadline)
      : nanoseconds_(deadline.time_since_epoch().count()), kind_(Kind::deadline) {}
  static constexpr Wait forever() { return Wait(); }

  constexpr bool is_forever() const { return kind_ == Kind::forever; }
  // A poll needs no clock: the call must not park.
  constexpr bool is_poll() const { return kind_ == Kind::duration && nanoseconds_ <= 0; }
  // The deadline in clock nanoseconds, counted from now for a duration; the largest value for ever.
  std::int64_t to_deadline() const;
  // The same where the clock's time is at hand; only a wait that needs it looks at it.
  constexpr bool needs_clock() const { return kind_ == Kind::duration; }
  // The duration, zero for a poll; only of a wait that needs a clock.
  constexpr std::int64_t duration() const { return nanoseconds_ > 0 ? nanoseconds_ : 0; }
  constexpr std::int64_t to_deadline(std::int64_t now) const;

 private:
  enum class Kind : std::uint8_t { forever, duration, deadline };
  constexpr Wait() = default;

  // A duration beyond what 64 bits of nanoseconds hold (hours::max(), say) means for ever, not an
  // overflow. Whole units of the width that std's durations have need no floating point.
  template <class R, class P>
  static constexpr std::int64_t saturate(std::chrono::duration<R, P> duration) {
    using Nanoseconds = std::chrono::nanoseconds;
    using Factor = std::ratio_divide<P, std::nano>;
    if constexpr (std::is_same_v<R, Nanoseconds::rep> && Factor::den == 1) {
      std::int64_t product = 0;
      if (!__builtin_mul_overflow(duration.count(), Factor::num, &product)) return product;
      return duration.count() > 0 ? std::numeric_limits<std::int64_t>::max()
                                  : std::numeric_limits<std::int64_t>::min();
    } else {
      using Seconds = std::chrono::duration<long double>;
      constexpr long double limit = 9.2e9L;  // seconds in 63 bits of nanoseconds, rounded down
      const long double seconds = std::chrono::duration_cast<Seconds>(duration).count();
      if (seconds >= limit) return std::numeric_limits<std::int64_t>::max();
      if (seconds <= -limit) return std::numeric_limits<std::int64_t>::min();
      return std::chrono::duration_cast<Nanoseconds>(duration).count();
    }
  }

  std::int64_t nanoseconds_ = 0;
  Kind kind_ = Kind::forever;
};

namespace detail {

inline constexpr std::int64_t no_deadline = std::numeric_limits<std::int64_t>::max();

// now + duration without overflow, and not negative; a duration that cannot be reached is no
// deadline.
constexpr std::int64_t add_saturated(std::int64_t now, std::int64_t duration) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(now, duration, &sum)) return duration > 0 ? no_deadline : 0;
  return sum > 0 ? sum : 0;
}

// Until a deadline in clock nanoseconds.
constexpr Wait to_wait(std::int64_t deadline) {
  if (deadline == no_deadline) return Wait::forever();
  return {clock::time_point(clock::duration(deadline))};
}

// Nanoseconds of CLOCK_MONOTONIC from the kernel. Thread-safe.
std::int64_t kernel_now() noexcept;
// Clock nanoseconds of the calling thread's hub, which may be a simulation's; of the kernel on a
// thread without a hub.
std::int64_t now_nanoseconds() noexcept;
// How the calling thread's hub tells the time; null: it has no hub.
using TimeTeller = std::int64_t (*)() noexcept;
void set_time_teller(TimeTeller teller) noexcept;

}  // namespace detail

inline clock::time_point clock::now() noexcept {
  return time_point(duration(detail::now_nanoseconds()));
}

constexpr std::int64_t Wait::to_deadline(std::int64_t now) const {
  if (kind_ == Kind::forever || nanoseconds_ == detail::no_deadline) return detail::no_deadline;
  return detail::add_saturated(kind_ == Kind::deadline ? 0 : now, nanoseconds_);
}

inline std::int64_t Wait::to_deadline() const {
  return to_deadline(needs_clock() ? detail::now_nanoseconds() : 0);
}

}  // namespace greenroom
