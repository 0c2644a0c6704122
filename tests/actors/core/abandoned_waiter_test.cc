// A task that is abandoned while it waits for its turn, on this or another hub: what it was given,
// or would be given later, goes on to the next.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "greenroom/actors/actors.h"
#include "greenroom/mailbox/queue.h"
#include "greenroom/scheduler/sync/lock.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;

struct Go {};

// Nothing interrupts it, and it has accepted its exit.
Pid start_waiter(Placement place, std::function<void()> wait) {
  const Pid pid = spawn({.place = place}, [test = self(), wait = std::move(wait)] {
    const Uncancellable busy;
    send(test, Go{});
    wait();
  });
  receive([](Go) {});
  monitor(pid);
  exit(pid, Reason::kill);
  sleep(1s);
  return pid;
}

void abandon(Pid pid) { detail::send_signal({detail::SignalKind::abandon, self(), pid}); }

enum class When { before_it_is_given, after_it_is_given };

class AbandonedWaiter : public testing::TestWithParam<std::pair<Placement, When>> {
 protected:
  // What it is given it gives back, in case it comes to run.
  static void expect_passed_on(const std::function<void()>& wait, const std::function<void()>& give,
                               const std::function<bool()>& take) {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      testkit::simulate({.seed = seed, .hubs = 2}, [&] {
        const auto [place, when] = GetParam();
        const Pid waiter = start_waiter(place, wait);
        if (when == When::after_it_is_given) give();
        abandon(waiter);
        EXPECT_EQ(receive([](Down down) { return down.reason; }), Reason::killed);
        if (when == When::before_it_is_given) give();
        EXPECT_TRUE(take());
      });
      if (HasFailure()) return;
    }
  }
};

TEST_P(AbandonedWaiter, PassesALockOn) {
  green::Lock lock;
  lock.try_lock();
  expect_passed_on(
      [&] {
        lock.acquire();
        lock.release();
      },
      [&] { lock.release(); }, [&] { return lock.acquire(1s); });
}

TEST_P(AbandonedWaiter, PassesAPermitOnToWhoWaitsBehindIt) {
  green::Semaphore permits(0);
  green::Greenlet<bool> next;
  expect_passed_on(
      [&] {
        permits.acquire();
        permits.release();
      },
      [&] {
        next = green::spawn([&] { return permits.acquire(10s); });
        sleep(1s);
        permits.release();
      },
      [&] { return next.get(); });
}

TEST_P(AbandonedWaiter, PassesANotificationOn) {
  green::Condition news;
  green::Greenlet<bool> next;
  const auto wait = [&](Wait wait) {
    news.lock();
    const bool is_notified = news.wait(wait);
    news.unlock();
    return is_notified;
  };
  const auto notify = [&] {
    news.lock();
    news.notify();
    news.unlock();
  };
  expect_passed_on(
      [&] {
        wait(Wait::forever());
        notify();
      },
      [&] {
        next = green::spawn([&] { return wait(10s); });
        sleep(1s);
        notify();
      },
      [&] { return next.get(); });
}

TEST_P(AbandonedWaiter, PassesAnItemOn) {
  green::Queue<int> queue;
  expect_passed_on([&] { queue.put(queue.get()); }, [&] { queue.put(1); },
                   [&] { return queue.get(1s) == 1; });
}

std::string name_of(const testing::TestParamInfo<std::pair<Placement, When>>& parameter) {
  const auto [place, when] = parameter.param;
  return std::string(place == Placement::here ? "OnThisHub" : "OnAnotherHub") +
         (when == When::before_it_is_given ? "BeforeItIsGiven" : "AfterItIsGiven");
}

INSTANTIATE_TEST_SUITE_P(Places, AbandonedWaiter,
                         testing::Values(std::pair(Placement::here, When::before_it_is_given),
                                         std::pair(Placement::here, When::after_it_is_given),
                                         std::pair(Placement::next_hub, When::before_it_is_given),
                                         std::pair(Placement::next_hub, When::after_it_is_given)),
                         name_of);

TEST(AbandonedPutter, TakesItsItemWithIt) {
  for (const Placement place : {Placement::here, Placement::next_hub}) {
    testkit::simulate({.hubs = 2}, [place] {
      green::Queue<int> queue({.max_size = 1});
      queue.put(1);
      green::Channel<int> channel;
      const Pid putter = start_waiter(place, [&] { queue.put(2); });
      const Pid other = start_waiter(place, [&] { channel.put(2); });
      abandon(putter);
      abandon(other);
      receive([](const Down&) {});
      receive([](const Down&) {});
      EXPECT_EQ(queue.get(), 1);
      EXPECT_TRUE(queue.empty());
      EXPECT_THROW(channel.get_nowait(), green::Empty);
    });
  }
}

TEST(AbandonedParty, DoesNotCountAtABarrier) {
  for (const Placement place : {Placement::here, Placement::next_hub}) {
    testkit::simulate({.hubs = 2}, [place] {
      green::Barrier barrier(2);
      const Pid party = start_waiter(place, [&] { barrier.wait(); });
      EXPECT_EQ(barrier.waiting(), 1);
      abandon(party);
      receive([](const Down&) {});
      EXPECT_EQ(barrier.waiting(), 0);
    });
  }
}

// It was told and never goes on: who found the event set meanwhile does not wait for it.
TEST(AbandonedWaiter, IsNotWaitedForByALateWaitForTheSameEvent) {
  std::thread([] {
    green::Event event;
    const auto told = green::spawn([&] { event.wait(); });
    yield();
    const auto late = green::spawn([&] { return event.wait(); });
    const auto abandons = green::spawn([&] { Hub::current().abandon(told.task()); });
    event.set();
    EXPECT_TRUE(late.join(10s));
    abandons.join();
  }).join();
}

// The turn was called for the two of them, and comes after this.
TEST(AbandonedWaiter, IsPassedOverByTheTurnOfAChannel) {
  std::thread([] {
    green::Channel<int> channel;
    const auto getter = green::spawn([&] { channel.get(); });
    const auto next = green::spawn([&] { return channel.get(); });
    yield();
    const auto putter = green::spawn([&] { channel.put(1); });
    const auto abandons = green::spawn([&] { Hub::current().abandon(getter.task()); });
    EXPECT_EQ(next.get(), 1);
    green::joinall({putter, abandons});
  }).join();
}

// Its item was taken, and it is to go on once its getter has parked.
TEST(AbandonedPutter, WhoseItemWasTakenIsForgottenByTheTurn) {
  std::thread([] {
    green::Channel<int> channel;
    const auto putter = green::spawn([&] { channel.put(1); });
    const auto getter = green::spawn([&] {
      EXPECT_EQ(channel.get(), 1);
      Hub::current().abandon(putter.task());
    });
    getter.join();
    EXPECT_THROW(channel.get_nowait(), green::Empty);
    EXPECT_THROW(channel.put_nowait(2), green::Full);
  }).join();
}

// Its frame stays for ever, the hub does not.
TEST(AbandonedWaiter, IsWokenInVainWhenItsHubHasEnded) {
  green::Event event;
  std::thread([&] {
    const auto waiter = green::spawn([&] { event.wait(); });
    yield();
    Hub::current().abandon(waiter.task());
  }).join();
  event.set();
  EXPECT_TRUE(event.wait());
}

}  // namespace
}  // namespace greenroom
