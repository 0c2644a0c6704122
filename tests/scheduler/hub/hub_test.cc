#include "greenroom/scheduler/hub/hub.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/hub/hub_group.h"
#include "greenroom/tests/scheduler/fiber/stack_testing.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Event;
using green::joinall;
using green::spawn;

using Log = std::vector<std::string>;

// Runs `body` on a thread, and so a hub, of its own.
template <class F>
void on_fresh_hub(F body) {
  std::thread(body).join();
}

// The thread's hub.

TEST(Hub, IsMadeByTheFirstBlockingCall) {
  on_fresh_hub([] {
    EXPECT_EQ(Hub::current_if_any(), nullptr);
    sleep(1ms);
    ASSERT_NE(Hub::current_if_any(), nullptr);
    EXPECT_EQ(Hub::current_if_any(), &green::get_hub());
    EXPECT_EQ(green::get_hub().current_task(), &green::get_hub().root());
  });
}

TEST(Hub, EachThreadHasItsOwn) {
  Hub* const here = &green::get_hub();
  on_fresh_hub([&] {
    EXPECT_NE(&green::get_hub(), here);
    EXPECT_NE(green::get_hub().id(), here->id());
  });
}

// A greenlet that never parks needs no stack of its own.
TEST(Hub, CallsTasksThatDoNotParkOnOneStack) {
  on_fresh_hub([] {
    Hub& hub = green::get_hub();
    int ran = 0;
    for (int i = 0; i < 1000; ++i) static_cast<void>(spawn([&] { ++ran; }));
    yield();
    EXPECT_EQ(ran, 1000);
    EXPECT_LE(hub.statistics().runners, 2u);
    EXPECT_EQ(hub.task_count(), 1u);
  });
}

TEST(Hub, AStackIsUsedAgainByTheNextThatParks) {
  on_fresh_hub([] {
    for (int i = 0; i < 100; ++i) spawn([] { yield(); }).join();
    EXPECT_LE(green::get_hub().statistics().runners, 3u);
  });
}

// So many that more stacks than a hub keeps become free at once.
void park_many() {
  Event event;
  constexpr std::size_t count = 7000;
  std::vector<green::Greenlet<>> many;
  many.reserve(count);
  for (std::size_t i = 0; i < count; ++i) many.push_back(spawn([&] { event.wait(); }));
  yield();
  event.set();
  joinall(many);
}

TEST(Hub, AboutToSleepGivesStacksBack) {
  if (detail::is_sanitized) GTEST_SKIP() << "too many fibers";
  on_fresh_hub([] {
    park_many();
    EXPECT_GT(green::get_hub().stacks().statistics().warm, 4500U);
    const std::uint64_t sleeps = green::get_hub().statistics().sleeps;
    while (green::get_hub().statistics().sleeps == sleeps) sleep(1ms);
    EXPECT_LE(green::get_hub().stacks().statistics().warm, 4096U);
  });
}

TEST(Hub, ThatIsBusyGivesStacksBackInTheEnd) {
  if (detail::is_sanitized) GTEST_SKIP() << "too many fibers";
  on_fresh_hub([] {
    park_many();
    const std::uint64_t sleeps = green::get_hub().statistics().sleeps;
    while (green::get_hub().stacks().statistics().warm > 1000) yield();
    EXPECT_EQ(green::get_hub().statistics().sleeps, sleeps);
  });
}

TEST(Hub, ATaskMayHaveALargerStack) {
  auto greenlet = spawn([] {
    volatile char large[256 * 1024];
    large[0] = 1;
    yield();
    return static_cast<int>(large[0]);
  });
  greenlet.task().stack_size = 512 * 1024;
  EXPECT_EQ(greenlet.get(), 1);
}

// Hub work.

TEST(HubPost, RunsOnTheHubWithNoCurrentGreenlet) {
  Hub& hub = green::get_hub();
  Hold hold = hub.hold();
  Event done;
  std::thread other([&] {
    EXPECT_TRUE(hub.post([&] {
      EXPECT_EQ(Hub::current_if_any(), &hub);
      EXPECT_EQ(hub.current_task(), nullptr);
      done.set();
    }));
  });
  EXPECT_TRUE(done.wait());
  other.join();
}

TEST(HubPost, KeepsTheOrderOfAThread) {
  Hub& hub = green::get_hub();
  std::vector<int> seen;
  Event done;
  const Hold hold = hub.hold();
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) hub.post([&, i] { seen.push_back(i); });
    hub.post([&] { done.set(); });
  });
  EXPECT_TRUE(done.wait());
  other.join();
  ASSERT_EQ(seen.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
}

// gevent: "Impossible to call blocking function in the event loop callback".
TEST(HubPost, ABlockingCallThereIsAnErrorThatSaysWhatToDo) {
  Hub& hub = green::get_hub();
  std::string message;
  hub.post([&] {
    try {
      sleep(1ms);
    } catch (const std::logic_error& error) {
      message = error.what();
    }
  });
  sleep(1ms);
  EXPECT_NE(message.find("spawn a greenlet"), std::string::npos) << message;
}

TEST(HubPost, WhatIsPostedToAHubThatEndsIsDeliveredOrRefused) {
  std::atomic<Hub*> published{nullptr};
  auto owned = std::make_shared<int>(1);
  std::atomic<bool> may_end{false};
  std::thread other([&] {
    published = &green::get_hub();
    while (!may_end) std::this_thread::yield();
  });
  while (!published) std::this_thread::yield();
  bool ran = false;
  EXPECT_TRUE(published.load()->post([owned, &ran] { ran = true; }));
  may_end = true;
  other.join();
  EXPECT_TRUE(ran);
  EXPECT_EQ(owned.use_count(), 1);
}

// gevent #1071: a loop of yields does not keep timers and posts from coming.
TEST(Hub, TimersAndPostsComeWhileGreenletsKeepYielding) {
  Hub& hub = green::get_hub();
  bool has_timer_fired = false;
  bool has_post_come = false;
  auto timed = spawn([&] {
    sleep(1ms);
    has_timer_fired = true;
  });
  hub.post([&] { has_post_come = true; });
  auto busy = spawn([&] {
    while (!has_timer_fired || !has_post_come) yield();
  });
  joinall({timed, busy});
}

// LoopExit and Hold.

// gevent: it can be caught, and the program goes on.
TEST(LoopExit, LeavesTheHubUsable) {
  for (int i = 0; i < 2; ++i) {
    Event never;
    EXPECT_THROW(never.wait(), green::LoopExit);
    EXPECT_EQ(spawn([] { return 4; }).get(), 4);
    sleep(1ms);
  }
}

TEST(LoopExit, DoesNotComeWhileATimerIsArmed) {
  Event event;
  auto later = green::spawn_later(2ms, [&] { event.set(); });
  EXPECT_TRUE(event.wait());
  later.join();
}

TEST(LoopExit, ComesWhenTheLastHoldIsReleased) {
  Hold first = green::get_hub().hold();
  Hold second = green::get_hub().hold();
  first.release();
  std::thread other([hold = std::move(second)]() mutable { hold.release(); });
  Event never;
  EXPECT_THROW(never.wait(), green::LoopExit);
  other.join();
}

TEST(LoopExit, OfAGroupComesWhenAllOfItsHubsAreQuiet) {
  Event gate;
  std::atomic<bool> is_waiting{false};
  const auto group = detail::HubGroup::make();
  Hub& main = green::get_hub();
  group->add(main, detail::HubGroup::Role::main);
  std::thread other([&] {
    Hub& hub = green::get_hub();
    group->add(hub, detail::HubGroup::Role::worker);
    is_waiting = true;
    EXPECT_TRUE(gate.wait());
    group->remove(hub);
  });
  while (!is_waiting) yield();
  Event never;
  EXPECT_THROW(never.wait(), green::LoopExit);
  group->remove(main);
  gate.set();
  other.join();
}

// A hub under an environment: what a simulation replaces.

class Scripted final : public detail::Environment {
 public:
  std::int64_t now() noexcept override { return time; }
  std::size_t choose(std::size_t count) noexcept override { return newest_first ? count - 1 : 0; }
  std::size_t deliver(std::size_t count) noexcept override { return holds_posts ? 0 : count; }
  void suspending(detail::Task&) noexcept override { ++suspensions; }

  std::int64_t time = 1'000'000;
  bool newest_first = false;
  bool holds_posts = false;
  int suspensions = 0;
};

class SimulatedHub : public testing::Test {
 protected:
  // Spawns on the simulated hub: from hub work of it.
  void spawn_there(std::function<void()> body) {
    hub.post([body = std::move(body)] { static_cast<void>(spawn(body)); });
  }
  void run() {
    while (hub.run_slice()) {
    }
  }

  Scripted environment;
  Hub hub{environment};
};

TEST_F(SimulatedHub, RunsTheTasksThatTheEnvironmentChooses) {
  Log out;
  for (const char* name : {"a", "b", "c"}) spawn_there([&, name] { out.push_back(name); });
  environment.newest_first = true;
  run();
  EXPECT_EQ(out, (Log{"c", "b", "a"}));
}

TEST_F(SimulatedHub, HasTheEnvironmentsTime) {
  bool woke = false;
  spawn_there([&] {
    sleep(1h);
    woke = true;
  });
  run();
  EXPECT_FALSE(woke);
  EXPECT_EQ(hub.next_event(), environment.time + std::chrono::nanoseconds(1h).count());
  environment.time = hub.next_event();
  run();
  EXPECT_TRUE(woke);
  EXPECT_EQ(environment.suspensions, 1);
}

TEST_F(SimulatedHub, GetsItsPostsWhenTheEnvironmentSaysSo) {
  bool ran = false;
  environment.holds_posts = true;
  spawn_there([&] { ran = true; });
  run();
  EXPECT_FALSE(ran);
  environment.holds_posts = false;
  run();
  EXPECT_TRUE(ran);
}

TEST_F(SimulatedHub, LeavesTheThreadsOwnHubAsItWas) {
  Hub* const own = &green::get_hub();
  spawn_there([&] { EXPECT_EQ(Hub::current_if_any(), &hub); });
  run();
  EXPECT_EQ(Hub::current_if_any(), own);
  sleep(1ms);
}

// Slices that were short for long: the hub has come to look at its timers seldom.
TEST(Hub, LooksAtItsTimersInTimeWhenSlicesBecomeLong) {
  on_fresh_hub([] {
    const auto yields = [] {
      for (int i = 0; i < 20'000; ++i) yield();
    };
    joinall({spawn(yields), spawn(yields)});
    constexpr int crowd = 32;
    bool is_over = false;
    int long_slices = 0;
    std::vector<green::Greenlet<>> greenlets{spawn([&] {
      sleep(1ms);
      is_over = true;
    })};
    for (int i = 0; i < crowd; ++i) {
      greenlets.push_back(spawn([&] {
        while (!is_over) {
          ++long_slices;
          const auto end = std::chrono::steady_clock::now() + 1ms;
          while (std::chrono::steady_clock::now() < end) {
          }
          yield();
        }
      }));
    }
    joinall(greenlets);
    // A few until the look, and one of each that is in the queue before the sleeper.
    EXPECT_LT(long_slices, 3 * crowd);
  });
}

}  // namespace
}  // namespace greenroom
