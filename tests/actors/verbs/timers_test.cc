// Messages in the future: when they are sent, to whom no more, and how they are cancelled. Orders
// are asserted, durations are not.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

#include "greenroom/testkit/testkit.h"
#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

struct Go {};

TEST(SendAfter, SendsTheMessageItselfOnce) {
  in_actor([] {
    send_after(1ms, self(), std::make_unique<int>(5));
    EXPECT_EQ(*next<std::unique_ptr<int>>(), 5);
    EXPECT_TRUE(has_no_mail());
  });
}

TEST(SendAfter, OfANegativeTimeIsRefused) {
  in_actor([] {
    EXPECT_THROW(send_after(-1ns, self(), 1), std::invalid_argument);
    EXPECT_THROW(send_interval(-1ms, self(), 1), std::invalid_argument);
    EXPECT_THROW(send_interval(0ms, self(), 1), std::invalid_argument);
  });
}

TEST(SendAfter, ArriveInTheOrderOfTheirTimes) {
  in_actor([] {
    for (const int n : {3, 1, 2}) send_after(n * 5ms, self(), n);
    for (const int n : {1, 2, 3}) EXPECT_EQ(next<int>(), n);
  });
}

TEST(SendAfter, OfZeroIsAMessageBehindWhatWasSentBefore) {
  in_actor([] {
    send_after(0ms, self(), 2);
    EXPECT_EQ(process_info(self()).mailbox_size, 0U);  // never at once
    send(self(), 1);
    EXPECT_EQ(next<int>(), 1);
    EXPECT_EQ(next<int>(), 2);
  });
}

TEST(SendAfter, ToADeadActorSendsNothingAndKeepsNothing) {
  in_actor([] {
    const Monitored dead = spawn_monitor([] { receive([](Go) {}); });
    auto owned = std::make_shared<int>(0);
    const std::weak_ptr<int> seen = owned;
    send_after(1ms, dead.pid, std::move(owned));
    send(dead.pid, Go{});
    end_of(dead);
    wait_until([&] { return seen.expired(); });
  });
}

TEST(SendAfter, ToAnotherHubArrives) {
  on_hubs(2, [] {
    const Monitored there = spawn_monitor(SpawnOptions{.place = elsewhere()}, [test = self()] {
      send(test, next<int>() + 1);
      send_after(1ms, test, 10);
    });
    send_after(1ms, there.pid, 5);
    EXPECT_EQ(next<int>(), 6);
    EXPECT_EQ(next<int>(), 10);
  });
}

TEST(CancelTimer, TellsWhatWasLeftAndNothingIsSent) {
  in_actor([] {
    const TimerRef timer = send_after(1h, self(), 1);
    const auto left = cancel_timer(timer);
    ASSERT_TRUE(left);
    EXPECT_GT(*left, 0ns);
    EXPECT_LE(*left, 1h);
    EXPECT_FALSE(cancel_timer(timer));  // already cancelled
    send_after(1ms, self(), 2);
    EXPECT_EQ(next<int>(), 2);
    EXPECT_TRUE(has_no_mail());
  });
}

TEST(CancelTimer, TakesADetachedTimeout) {
  in_actor([] {
    const auto left = cancel_timer(Timeout::start_detached(20ms));
    ASSERT_TRUE(left);
    EXPECT_LE(*left, 20ms);
    sleep(30ms);
  });
}

// Hubs are numbered by their ports, which are used again.
TEST(CancelTimer, OfAHubThatHasEndedLeavesItsSuccessorsAlone) {
  TimerRef stale;
  std::uint32_t port = 0;
  std::thread([&] {
    stale = send_after(1h, self(), 1);
    port = self().hub;
  }).join();
  std::thread([&] {
    ASSERT_EQ(self().hub, port);
    const TimerRef mine = send_after(1h, self(), 2);
    EXPECT_NE(mine, stale);
    EXPECT_EQ(cancel_timer(stale), std::nullopt);
    EXPECT_TRUE(cancel_timer(mine));
  }).join();
}

TEST(CancelTimer, OfOneThatFiredIsNothingThoughItsMessageMayBeUnread) {
  in_actor([] {
    const TimerRef timer = send_after(1ms, self(), 1);
    wait_until([] { return process_info(self()).mailbox_size == 1; });
    EXPECT_FALSE(cancel_timer(timer));
    EXPECT_EQ(next<int>(), 1);
    EXPECT_FALSE(cancel_timer(TimerRef()));
    EXPECT_FALSE(cancel_timer(TimerRef(12345)));
  });
}

TEST(CancelTimer, FromAnotherHubTakesEffectSoon) {
  on_hubs(2, [] {
    auto owned = std::make_shared<int>(0);
    const std::weak_ptr<int> seen = owned;
    const TimerRef timer = send_after(1h, self(), std::move(owned));
    const Monitored there = spawn_monitor(SpawnOptions{.place = elsewhere()},
                                          [timer] { EXPECT_FALSE(cancel_timer(timer)); });
    end_of(there);
    wait_until([&] { return seen.expired(); });
    EXPECT_FALSE(cancel_timer(timer));
  });
}

TEST(SendInterval, SendsACopyEachTimeUntilItIsCancelled) {
  in_actor([] {
    const TimerRef timer = send_interval(1ms, self(), std::string("tick"));
    for (int i = 0; i < 5; ++i) EXPECT_EQ(next<std::string>(), "tick");
    EXPECT_TRUE(cancel_timer(timer));
    while (receive([](const std::string&) { return true; }, after(0s, [] { return false; }))) {
    }
    send_after(5ms, self(), 1);
    EXPECT_EQ(next<int>(), 1);
    EXPECT_TRUE(has_no_mail());
  });
}

class IntervalToTheDead : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(OtherHub, IntervalToTheDead, testing::Bool());

TEST_P(IntervalToTheDead, EndsByItself) {
  on_hubs(2, [] {
    const SpawnOptions options{.place = GetParam() ? elsewhere() : Placement::here};
    const Monitored ticked = spawn_monitor(options, [] { next<std::shared_ptr<int>>(); });
    auto owned = std::make_shared<int>(0);
    const std::weak_ptr<int> seen = owned;
    send_interval(1ms, ticked.pid, std::move(owned));
    end_of(ticked);
    wait_until([&] { return seen.expired(); });
  });
}

TEST(SendAfter, OfTheLongestTimeNeverComes) {
  testkit::simulate({}, [] {
    const TimerRef once = send_after(std::chrono::nanoseconds::max(), self(), 1);
    const TimerRef again = send_interval(std::chrono::nanoseconds::max(), self(), 2);
    constexpr auto century = 24h * 365 * 100;
    sleep(century);
    EXPECT_TRUE(has_no_mail());
    EXPECT_TRUE(cancel_timer(once));
    EXPECT_TRUE(cancel_timer(again));
  });
}

// Cancels its timer when it is copied.
struct Copied {
  TimerRef* timer;
  explicit Copied(TimerRef& its) : timer(&its) {}
  Copied(const Copied& other) : timer(other.timer) { cancel_timer(*timer); }
  Copied(Copied&&) = default;
};

TEST(SendInterval, MayBeCancelledByItsMessageAsThatIsMade) {
  testkit::simulate({}, [] {
    TimerRef timer;
    timer = send_interval(1ms, self(), Copied(timer));
    next<Copied>();
    sleep(1h);
    EXPECT_TRUE(has_no_mail());
    EXPECT_FALSE(cancel_timer(timer));
  });
}

// Cancels its timer when it ends.
struct Ended {
  std::shared_ptr<TimerRef> timer;
  explicit Ended(std::shared_ptr<TimerRef> its) : timer(std::move(its)) {}
  Ended(Ended&&) = default;
  ~Ended() {
    if (timer) cancel_timer(*timer);
  }
};

TEST(SendAfter, MayBeCancelledByTheEndOfItsMessage) {
  in_actor([] {
    const auto timer = std::make_shared<TimerRef>();
    *timer = send_after(1h, self(), Ended(timer));
    EXPECT_TRUE(cancel_timer(*timer));
    EXPECT_EQ(timer.use_count(), 1);
  });
}

}  // namespace
}  // namespace greenroom
