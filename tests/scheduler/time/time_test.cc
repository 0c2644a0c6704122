// Wait: durations of any width and unit, without an overflow.
#include "greenroom/scheduler/time/time.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>

namespace greenroom {
namespace {

using detail::no_deadline;

TEST(WaitTest, CountsADurationFromNow) {
  EXPECT_EQ(Wait(std::chrono::milliseconds(5)).to_deadline(100), 5'000'100);
  EXPECT_EQ(Wait(std::chrono::duration<int>(2)).to_deadline(1), 2'000'000'001);
  EXPECT_EQ(Wait(std::chrono::duration<double>(0.5)).to_deadline(0), 500'000'000);
  EXPECT_EQ(Wait(std::chrono::duration<double, std::milli>(0.25)).to_deadline(0), 250'000);
  using Picoseconds = std::chrono::duration<std::int64_t, std::pico>;
  EXPECT_EQ(Wait(Picoseconds(7'999)).to_deadline(0), 7);
}

TEST(WaitTest, ADurationThatCannotBeReachedIsForEver) {
  EXPECT_EQ(Wait(std::chrono::hours::max()).to_deadline(1), no_deadline);
  EXPECT_EQ(Wait(std::chrono::milliseconds::max()).to_deadline(1), no_deadline);
  EXPECT_EQ(Wait(std::chrono::nanoseconds::max()).to_deadline(1), no_deadline);
  EXPECT_EQ(Wait(std::chrono::duration<double>(1e300)).to_deadline(1), no_deadline);
  EXPECT_EQ(
      Wait(std::chrono::duration<float>(std::numeric_limits<float>::infinity())).to_deadline(1),
      no_deadline);
  // The largest that can: 292 years.
  EXPECT_EQ(Wait(std::chrono::seconds(9'223'372'036)).to_deadline(0), 9'223'372'036'000'000'000);
  EXPECT_EQ(Wait(std::chrono::seconds(9'223'372'037)).to_deadline(0), no_deadline);
}

TEST(WaitTest, ADurationOfZeroOrLessPolls) {
  EXPECT_TRUE(Wait(std::chrono::seconds(0)).is_poll());
  EXPECT_TRUE(Wait(std::chrono::nanoseconds(-1)).is_poll());
  EXPECT_TRUE(Wait(std::chrono::hours::min()).is_poll());
  EXPECT_TRUE(Wait(std::chrono::duration<double>(-1e300)).is_poll());
  EXPECT_FALSE(Wait(std::chrono::nanoseconds(1)).is_poll());
  EXPECT_FALSE(Wait::forever().is_poll());
}

TEST(WaitTest, IsAConstant) {
  constexpr Wait five_seconds = std::chrono::seconds(5);
  static_assert(five_seconds.needs_clock());
  static_assert(Wait::forever().is_forever());
}

TEST(WaitTest, ADeadlineIsKept) {
  EXPECT_EQ(detail::to_wait(7).to_deadline(100), 7);
  EXPECT_FALSE(detail::to_wait(7).is_forever());
  EXPECT_TRUE(detail::to_wait(no_deadline).is_forever());
}

}  // namespace
}  // namespace greenroom
