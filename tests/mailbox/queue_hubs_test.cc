// Queues and hubs: hub work, several hubs, budgets.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/mailbox/queue.h"
#include "greenroom/scheduler/green.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Empty;
using green::Full;
using green::Greenlet;
using green::joinall;
using green::Queue;
using green::spawn;

// gevent test__queue: put_nowait and get_nowait are allowed in the hub; blocking is not.
TEST(Queue, HubWorkMayPutAndGetWithoutBlocking) {
  Queue<int> queue({.max_size = 1});
  Hub& hub = green::get_hub();
  std::string error;
  const Hold hold = hub.hold();
  auto getter = spawn([&] { return queue.get(); });
  yield();
  hub.post([&] {
    queue.put_nowait(1);
    EXPECT_THROW(queue.put_nowait(2), Full);
    try {
      queue.get();
    } catch (const std::logic_error& misuse) {
      error = misuse.what();
    }
  });
  EXPECT_EQ(getter.get(), 1);
  EXPECT_NE(error.find("hub work"), std::string::npos);
}

TEST(Queue, CarriesEveryItemBetweenHubs) {
  constexpr int count = 20'000;
  Queue<int> queue({.max_size = 16});
  const Hold hold = green::get_hub().hold();
  std::vector<std::thread> threads;
  threads.reserve(2);
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      const Hold waits_for_others = green::get_hub().hold();
      auto put_all = [&] {
        for (int i = 1; i <= count / 4; ++i) queue.put(i);
      };
      joinall({spawn(put_all), spawn(put_all)});
    });
  }
  long sum = 0;
  auto getter = [&] {
    for (int i = 0; i < count / 2; ++i) sum += queue.get();
  };
  joinall({spawn(getter), spawn(getter)});
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, 4L * (count / 4) * (count / 4 + 1) / 2);
  EXPECT_TRUE(queue.empty());
}

// Getters of two hubs give up or are killed all the time; every item is got exactly once.
TEST(Queue, LosesNothingWhenGettersOfOtherHubsLeave) {
  constexpr int count = 4'000;
  Queue<int> queue;
  std::atomic<long> sum{0};
  std::atomic<int> left{count};
  auto consume = [&] {
    const Hold hold = green::get_hub().hold();
    while (left > 0) {
      auto getter = spawn([&] {
        try {
          for (;;) {
            sum += queue.get(50us);
            --left;
          }
        } catch (const Empty&) {
        }
      });
      yield();
      yield();
      getter.kill();
    }
  };
  std::thread first(consume);
  std::thread second(consume);
  for (int i = 1; i <= count; ++i) {
    queue.put(i);
    if (i % 8 == 0) sleep(20us);
  }
  first.join();
  second.join();
  EXPECT_EQ(sum, static_cast<long>(count) * (count + 1) / 2);
}

// A getter on a hub of its own, which waits when the constructor returns.
class GetterElsewhere {
 public:
  explicit GetterElsewhere(Queue<int>& queue)
      : thread_([this, &queue] {
          const Hold hold = green::get_hub().hold();
          const auto getter = spawn([this, &queue] { got_ = queue.get(); });
          const auto witness = spawn([this] { is_waiting_ = true; });
          joinall({getter, witness});
        }) {
    while (!is_waiting_) std::this_thread::yield();
  }
  ~GetterElsewhere() { thread_.join(); }
  GetterElsewhere(const GetterElsewhere&) = delete;
  GetterElsewhere& operator=(const GetterElsewhere&) = delete;
  // This hub runs nobody else meanwhile.
  int await() const {
    while (got_ == 0) std::this_thread::yield();
    return got_;
  }

 private:
  std::atomic<bool> is_waiting_{false};
  std::atomic<int> got_{0};
  std::thread thread_;
};

TEST(Queue, AGetterOfAnotherHubNeedNotWaitUntilThisOneRunsSomebodyElse) {
  Queue<int> queue;
  const GetterElsewhere getter(queue);
  auto own = spawn([&] { return queue.get(); });
  yield();
  queue.put(1);
  EXPECT_EQ(getter.await(), 1);
  queue.put(2);
  EXPECT_EQ(own.get(), 2);
}

// A greenlet of this hub is first in line, and the turn is called for it; then it leaves.
TEST(Queue, WhatAGetterLeavesBehindGoesToAnotherHubBeforeTheTurn) {
  for (const auto result : {detail::ParkResult::interrupted, detail::ParkResult::expired}) {
    Queue<int> queue;
    auto victim = spawn([&] {
      try {
        queue.get(1h);
      } catch (const Empty&) {
      }
    });
    yield();
    const GetterElsewhere getter(queue);
    if (result == detail::ParkResult::interrupted) {
      victim.kill({}, 0s);
    } else {
      victim.task().hub->end_park(victim.task(), result);
    }
    auto observer = spawn([&] { EXPECT_EQ(getter.await(), 1); });
    queue.put(1);
    joinall({victim, observer});
  }
}

// This one's turn is called for, and this hub runs nobody.
TEST(Queue, ServesThoseOfAnotherHubThatStandBehindTheTurnOfThisOne) {
  Queue<int> queue;
  auto first = spawn([&] { return queue.get(); });
  yield();
  queue.put(1);
  std::atomic<bool> is_done{false};
  std::thread other([&] {
    const Hold hold = green::get_hub().hold();
    EXPECT_EQ(queue.get(), 1);  // nobody has taken it yet
    auto getter = spawn([&] { return queue.get(); });
    yield();
    queue.put(2);
    queue.put(3);
    EXPECT_EQ(getter.get(), 2);  // of the two that are promised
    is_done = true;
  });
  while (!is_done) std::this_thread::yield();
  other.join();
  EXPECT_EQ(first.get(), 3);
}

TEST(Queue, HasATurnOnEachHubThatItIsUsedOn) {
  Queue<int> queue({.max_size = 1});
  const auto use = [&] {
    std::string out;
    auto getter = spawn([&] {
      for (int i = 0; i < 3; ++i) out += "g" + std::to_string(queue.get());
    });
    auto putter = spawn([&] {
      for (int i = 0; i < 3; ++i) {
        queue.put(i);
        out += "p" + std::to_string(i);
      }
    });
    joinall({getter, putter});
    return out;
  };
  const std::string here = use();
  std::string there;
  std::thread([&] { there = use(); }).join();
  EXPECT_EQ(here, there);
  EXPECT_EQ(use(), here);
}

// The turn has a place on this hub then, as it has just let this greenlet go on.
TEST(Queue, IsDestroyedByAnotherThreadBeforeItsTurnIsOver) {
  auto queue = std::make_unique<Queue<int>>();
  auto putter = spawn([&] { queue->put(1); });
  EXPECT_EQ(queue->get(), 1);
  std::thread([owned = std::move(queue)] {}).join();
  putter.join();
  yield();
}

// A budget yield comes before the attempt, so that a kill there loses nothing.
TEST(Queue, AKillAtTheBudgetYieldLosesNothing) {
  Queue<int> queue({.max_size = 2});
  Hub& hub = green::get_hub();
  queue.put(1);
  hub.set_budget(1);
  auto getter = spawn([&] { queue.get(); });
  auto putter = spawn([&] { queue.put(2); });
  detail::yield_now();  // both have started, and yield before they try
  for (const Greenlet<>& greenlet : {getter, putter})
    detail::throw_into(greenlet.task(), std::make_exception_ptr(green::GreenletExit()));
  hub.set_budget(Hub::default_budget);
  joinall({getter, putter});
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(queue.get_nowait(), 1);
}

}  // namespace
}  // namespace greenroom
