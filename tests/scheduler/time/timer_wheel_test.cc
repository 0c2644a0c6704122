#include "greenroom/scheduler/time/timer_wheel.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace greenroom::detail {
namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t hour = 3600 * second;
constexpr std::int64_t never = TimerWheel::no_deadline;

// A timer that writes its name into a log and then does what it is told.
struct LoggedTimer : TimerNode {
  LoggedTimer(std::vector<std::string>& where, std::string text, std::function<void()> action = {})
      : log(where), name(std::move(text)), then(std::move(action)) {
    fire = [](TimerNode& node) noexcept {
      auto& timer = static_cast<LoggedTimer&>(node);
      timer.log.push_back(timer.name);
      if (timer.then) timer.then();
    };
  }

  std::vector<std::string>& log;
  std::string name;
  std::function<void()> then;
};

using Names = std::vector<std::string>;

TEST(TimerWheel, IsEmptyAtFirst) {
  TimerWheel wheel(5);
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.next_deadline(), never);
  EXPECT_EQ(wheel.fire_due(hour), 0U);
}

TEST(TimerWheel, FiresAtTheDeadlineAndNotOneNanosecondBefore) {
  for (std::int64_t distance = 1; distance > 0 && distance < never / 3; distance *= 3) {
    Names log;
    TimerWheel wheel(1000);
    LoggedTimer timer(log, "a");
    wheel.arm(timer, 1000 + distance);
    EXPECT_EQ(wheel.next_deadline(), 1000 + distance);
    EXPECT_EQ(wheel.fire_due(999 + distance), 0U) << distance;
    EXPECT_EQ(wheel.next_deadline(), 1000 + distance);
    EXPECT_EQ(wheel.fire_due(1000 + distance), 1U) << distance;
    EXPECT_FALSE(timer.is_armed());
    EXPECT_TRUE(wheel.empty());
    EXPECT_EQ(wheel.next_deadline(), never);
  }
}

TEST(TimerWheel, FiresEqualDeadlinesInArmingOrder) {
  Names log;
  TimerWheel wheel(0);
  LoggedTimer a(log, "a"), b(log, "b"), c(log, "c"), d(log, "d");
  wheel.arm(c, 10 * second);
  wheel.fire_due(9 * second);  // c has come down some levels
  wheel.arm(a, 10 * second);
  wheel.fire_due(10 * second - 3);  // c and a are near, d is armed beside them
  wheel.arm(d, 10 * second);
  wheel.arm(b, 10 * second - 1);
  EXPECT_EQ(wheel.fire_due(20 * second), 4U);
  EXPECT_EQ(log, (Names{"b", "c", "a", "d"}));
}

TEST(TimerWheel, FiresADeadlineInThePastAtTheNextCall) {
  Names log;
  TimerWheel wheel(hour);
  LoggedTimer a(log, "a"), b(log, "b"), c(log, "c");
  wheel.arm(a, hour);
  wheel.arm(b, 7);
  wheel.arm(c, -7);
  EXPECT_EQ(wheel.next_deadline(), -7);
  EXPECT_EQ(wheel.fire_due(hour), 3U);
  EXPECT_EQ(log, (Names{"c", "b", "a"}));
}

TEST(TimerWheel, TakesAClockThatStepsBackAsStandingStill) {
  Names log;
  TimerWheel wheel(hour);
  LoggedTimer a(log, "a"), b(log, "b");
  wheel.arm(a, hour - 1);
  wheel.arm(b, hour + 1);
  EXPECT_EQ(wheel.fire_due(5), 1U);
  EXPECT_EQ(wheel.next_deadline(), hour + 1);
}

TEST(TimerWheel, CancelOfATimerThatIsNotArmedDoesNothing) {
  Names log;
  TimerWheel wheel(0);
  LoggedTimer a(log, "a"), b(log, "b");
  wheel.arm(b, 1);
  wheel.cancel(a);
  EXPECT_EQ(wheel.size(), 1U);
  wheel.fire_due(1);
  wheel.cancel(b);
  EXPECT_EQ(wheel.size(), 0U);
}

TEST(TimerWheel, ACancelledTimerCausesNoWakeUp) {
  Names log;
  TimerWheel wheel(0);
  LoggedTimer a(log, "a"), b(log, "b");
  wheel.arm(a, 5 * second);
  wheel.arm(b, hour);
  wheel.cancel(a);
  EXPECT_EQ(wheel.next_deadline(), hour);
  wheel.cancel(b);
  EXPECT_EQ(wheel.next_deadline(), never);
}

TEST(TimerWheel, AnEmptiedCrowdedSlotCausesNoWakeUp) {
  Names log;
  TimerWheel wheel(0);
  LoggedTimer first(log, "first"), last(log, "last");
  std::vector<LoggedTimer> crowd(1000, LoggedTimer(log, "crowd"));
  wheel.arm(first, 5 * second - 1);
  for (auto& timer : crowd) wheel.arm(timer, 5 * second);
  wheel.arm(last, hour);
  wheel.cancel(first);
  EXPECT_LE(wheel.next_deadline(), 5 * second);
  for (auto& timer : crowd) wheel.cancel(timer);
  EXPECT_EQ(wheel.next_deadline(), hour);
}

TEST(TimerWheel, TheNextDeadlineOfACrowdedSlotIsNeverLate) {
  Names log;
  TimerWheel wheel(0);
  LoggedTimer first(log, "first"), second_one(log, "second"), near(log, "near");
  std::vector<LoggedTimer> crowd(1000, LoggedTimer(log, "crowd"));
  wheel.arm(first, 5 * second);
  wheel.arm(second_one, 5 * second + 1);
  for (auto& timer : crowd) wheel.arm(timer, 5 * second + 1000);
  wheel.cancel(first);
  EXPECT_LE(wheel.next_deadline(), 5 * second + 1);
  EXPECT_GE(wheel.next_deadline(), 5 * second);
  wheel.arm(near, second);
  wheel.cancel(near);
  EXPECT_LE(wheel.next_deadline(), 5 * second + 1);
}

TEST(TimerWheel, ASingleTimerWakesAnIdleHubOnce) {
  Names log;
  TimerWheel wheel(123456789);
  LoggedTimer a(log, "a");
  wheel.arm(a, 123456789 + hour);
  int wake_ups = 0;
  for (; !wheel.empty(); ++wake_ups) wheel.fire_due(wheel.next_deadline());
  EXPECT_EQ(wake_ups, 1);
}

TEST(TimerWheel, ACrowdWakesAnIdleHubAtMostOnceALevelBeforeItIsDue) {
  Names log;
  TimerWheel wheel(123456789);
  LoggedTimer first(log, "first");
  std::vector<LoggedTimer> crowd(5000, LoggedTimer(log, "crowd"));
  for (auto& timer : crowd) wheel.arm(timer, hour);
  wheel.arm(first, second);
  int wake_ups = 0;
  for (; !wheel.empty(); ++wake_ups) wheel.fire_due(wheel.next_deadline());
  EXPECT_LE(wake_ups, 12);
  EXPECT_EQ(log.size(), 5001U);
}

TEST(TimerWheel, TheClockMayJumpByYears) {
  Names log;
  TimerWheel wheel(0);
  LoggedTimer a(log, "a"), b(log, "b"), c(log, "c"), last(log, "last");
  const std::int64_t year = 365 * 24 * hour;
  wheel.arm(c, 100 * year);
  wheel.arm(last, never - 1);
  wheel.arm(a, 1);
  wheel.arm(b, 99 * year);
  EXPECT_EQ(wheel.fire_due(200 * year), 3U);
  EXPECT_EQ(log, (Names{"a", "b", "c"}));
  EXPECT_EQ(wheel.next_deadline(), never - 1);
  EXPECT_EQ(wheel.fire_due(never - 2), 0U);
  EXPECT_EQ(wheel.fire_due(never), 1U);
  EXPECT_EQ(wheel.next_deadline(), never);
}

TEST(TimerWheel, ATimerMayArmItselfAgainAndWaitsForALaterCall) {
  Names log;
  TimerWheel wheel(0);
  LoggedTimer a(log, "a");
  a.then = [&] { wheel.arm(a, a.deadline); };  // due at once, for ever
  wheel.arm(a, 10);
  EXPECT_EQ(wheel.fire_due(10), 1U);
  EXPECT_EQ(wheel.next_deadline(), 10);
  EXPECT_EQ(wheel.fire_due(10), 1U);
  EXPECT_EQ(wheel.fire_due(11), 1U);
  EXPECT_EQ(wheel.size(), 1U);
}

TEST(TimerWheel, ATimerMayCancelOneThatIsDueAfterIt) {
  Names log;
  TimerWheel wheel(0);
  LoggedTimer b(log, "b"), c(log, "c");
  LoggedTimer a(log, "a", [&] {
    EXPECT_TRUE(b.is_armed());
    EXPECT_EQ(wheel.next_deadline(), 2);
    wheel.cancel(b);
    EXPECT_FALSE(b.is_armed());
    EXPECT_EQ(wheel.next_deadline(), 3);
  });
  wheel.arm(a, 1);
  wheel.arm(b, 2);
  wheel.arm(c, 3);
  EXPECT_EQ(wheel.fire_due(5), 2U);
  EXPECT_EQ(log, (Names{"a", "c"}));
}

TEST(TimerWheel, ATimerMayMoveOneThatIsDueAfterIt) {
  Names log;
  TimerWheel wheel(0);
  LoggedTimer b(log, "b"), c(log, "c");
  LoggedTimer a(log, "a", [&] {
    wheel.cancel(c);
    wheel.arm(c, 100);
    wheel.cancel(b);
    wheel.arm(b, 0);
  });
  wheel.arm(a, 1);
  wheel.arm(b, 2);
  wheel.arm(c, 3);
  EXPECT_EQ(wheel.fire_due(5), 1U);
  EXPECT_EQ(wheel.fire_due(5), 1U);
  EXPECT_EQ(wheel.next_deadline(), 100);
  EXPECT_EQ(wheel.fire_due(100), 1U);
  EXPECT_EQ(log, (Names{"a", "b", "c"}));
}

TEST(TimerWheel, ATimerMayFreeItself) {
  struct Doomed : TimerNode {
    int& freed;
    explicit Doomed(int& counter) : freed(counter) {
      fire = [](TimerNode& node) noexcept { delete static_cast<Doomed*>(&node); };
    }
    ~Doomed() { ++freed; }
  };
  int freed = 0;
  TimerWheel wheel(0);
  for (int i = 0; i < 100; ++i) wheel.arm(*new Doomed(freed), i % 7);
  EXPECT_EQ(wheel.fire_due(10), 100U);
  EXPECT_EQ(freed, 100);
}

TEST(TimerWheel, WhenTheCrowdInThePastHasFiredTheNextDeadlineIsExact) {
  Names log;
  TimerWheel wheel(1000);
  std::vector<LoggedTimer> crowd(200, LoggedTimer(log, "crowd"));
  LoggedTimer first(log, "first"), later(log, "later");
  for (auto& timer : crowd) wheel.arm(timer, 500);
  wheel.arm(first, 1);
  wheel.arm(later, 5000);
  wheel.cancel(first);
  EXPECT_LE(wheel.next_deadline(), 500);
  EXPECT_EQ(wheel.fire_due(1000), 200U);
  EXPECT_EQ(wheel.next_deadline(), 5000);
}

// Nothing here is timed: what is quadratic does not end.
TEST(TimerWheel, FiresAMillionEqualDeadlinesInOrder) {
  static std::uint64_t last_sequence;
  static bool in_order;
  last_sequence = 0;
  in_order = true;
  std::vector<TimerNode> timers(1'000'000);
  TimerWheel wheel(17);
  for (auto& timer : timers) {
    timer.fire = [](TimerNode& node) noexcept {
      in_order = in_order && node.sequence > last_sequence;
      last_sequence = node.sequence;
    };
    wheel.arm(timer, 5 * second);
  }
  for (std::int64_t now = 0; now < 5 * second; now += second / 10) wheel.fire_due(now);
  EXPECT_EQ(wheel.fire_due(5 * second), 1'000'000U);
  EXPECT_TRUE(in_order);
}

}  // namespace
}  // namespace greenroom::detail
