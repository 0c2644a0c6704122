// What the strategies do and how restarts are counted: pure functions, at their seams.

#include "greenroom/actors/supervisor/restart_plan.h"

#include <gtest/gtest.h>

namespace greenroom::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t ms = 1'000'000;

bool is_range(const RestartPlan& plan, std::size_t first, std::size_t last) {
  return plan.first == first && plan.last == last;
}

TEST(RestartPlan, IsTheRangeThatEachStrategySays) {
  EXPECT_TRUE(is_range(restart_plan(Strategy::one_for_one, 0, 3), 0, 1));
  EXPECT_TRUE(is_range(restart_plan(Strategy::one_for_one, 2, 3), 2, 3));
  EXPECT_TRUE(is_range(restart_plan(Strategy::rest_for_one, 0, 3), 0, 3));
  EXPECT_TRUE(is_range(restart_plan(Strategy::rest_for_one, 1, 3), 1, 3));
  EXPECT_TRUE(is_range(restart_plan(Strategy::rest_for_one, 2, 3), 2, 3));
  for (std::size_t failed = 0; failed < 3; ++failed)
    EXPECT_TRUE(is_range(restart_plan(Strategy::one_for_all, failed, 3), 0, 3));
}

TEST(RestartIntensity, OfZeroBearsNone) {
  RestartIntensity intensity(0, 5s);
  EXPECT_FALSE(intensity.admit(0));
  EXPECT_FALSE(intensity.admit(100'000 * ms));
}

TEST(RestartIntensity, BearsSoManyWithinAPeriodAndNotOneMore) {
  RestartIntensity intensity(3, 5s);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(intensity.admit(i * ms));
  EXPECT_FALSE(intensity.admit(3 * ms));
}

TEST(RestartIntensity, CountsOneThatIsExactlyAPeriodOld) {  // to the nanosecond
  RestartIntensity exactly(1, 5s);
  EXPECT_TRUE(exactly.admit(0));
  EXPECT_FALSE(exactly.admit(5000 * ms));
  RestartIntensity later(1, 5s);
  EXPECT_TRUE(later.admit(0));
  EXPECT_TRUE(later.admit(5000 * ms + 1));
  EXPECT_FALSE(later.admit(5000 * ms + 2));
}

TEST(RestartIntensity, IsNotRoundedToSeconds) {  // the documented deviation
  RestartIntensity intensity(1, 100ms);
  EXPECT_TRUE(intensity.admit(0));
  EXPECT_TRUE(intensity.admit(101 * ms));
  EXPECT_FALSE(intensity.admit(201 * ms));
}

TEST(RestartIntensity, LetsOldOnesGoOneByOne) {  // a sliding window
  RestartIntensity intensity(2, 1s);
  EXPECT_TRUE(intensity.admit(0));
  EXPECT_TRUE(intensity.admit(600 * ms));
  EXPECT_FALSE(intensity.admit(1000 * ms));
  EXPECT_TRUE(intensity.admit(1001 * ms));
  EXPECT_FALSE(intensity.admit(1600 * ms));
  EXPECT_TRUE(intensity.admit(1601 * ms));
  EXPECT_EQ(intensity.recorded(), 2U);
}

TEST(RestartIntensity, KeepsNoMoreThanOnePeriod) {
  RestartIntensity intensity(1000, 1s);
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(intensity.admit(i * 100 * ms));
  EXPECT_LE(intensity.recorded(), 11U);
}

}  // namespace
}  // namespace greenroom::detail
