#include "greenroom/scheduler/time/tick_clock.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "greenroom/scheduler/time/time.h"

namespace greenroom::detail {
namespace {

constexpr std::int64_t millisecond = 1'000'000;

TEST(TickClock, NeverRunsBackwards) {
  TickClock clock;
  std::int64_t last = 0;
  const std::int64_t end = kernel_now() + 50 * millisecond;
  for (int i = 0; last < end && !::testing::Test::HasFailure(); ++i) {
    const std::int64_t now = i % 100 == 99 ? clock.synchronize() : clock.now();
    EXPECT_GE(now, last) << i;
    last = now;
  }
}

// It may be slow, where the thread is stopped after the reading; being fast is the counter's error
// since the last look at the kernel's clock.
TEST(TickClock, IsNotAheadOfTheKernelsClock) {
  TickClock clock;
  const std::int64_t end = kernel_now() + 50 * millisecond;
  for (std::int64_t now = 0; now < end && !::testing::Test::HasFailure();) {
    now = clock.now();
    EXPECT_LE(now, kernel_now() + millisecond / 10);
  }
}

TEST(TickClock, CanBeReadWithoutTheKernelOnceItIsMeasured) {
  TickClock clock;
  std::int64_t now = 0;
  EXPECT_FALSE(clock.read(now)) << "nothing is known of the counter yet";
  const std::int64_t end = kernel_now() + 2 * millisecond;
  while (kernel_now() < end) {
  }
  const std::int64_t synchronized = clock.synchronize();
  if (!clock.read(now)) GTEST_SKIP() << "this machine's counter is not invariant";
  EXPECT_GE(now, synchronized);
}

}  // namespace
}  // namespace greenroom::detail
