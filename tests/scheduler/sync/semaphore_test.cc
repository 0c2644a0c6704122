// Semaphore and BoundedSemaphore: permits, who gets them and who loses none.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/sync/lock.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::BoundedSemaphore;
using green::Greenlet;
using green::joinall;
using green::Semaphore;
using green::spawn;

using Log = std::vector<std::string>;

// As if its deadline had come: it is on its way out and has not run yet.
void expire(const Greenlet<>& greenlet) {
  greenlet.task().hub->end_park(greenlet.task(), detail::ParkResult::expired);
}

void kill_soon(const Greenlet<>& greenlet) {
  detail::throw_into(greenlet.task(), std::make_exception_ptr(green::GreenletExit()));
}

TEST(Semaphore, AcquireTakesAFreePermitAndWaitsForOneThatIsNot) {
  Semaphore semaphore(2);
  EXPECT_TRUE(semaphore.acquire());
  EXPECT_TRUE(semaphore.acquire());
  EXPECT_TRUE(semaphore.locked());
  auto waiting = spawn([&] { return semaphore.acquire(); });
  yield();
  EXPECT_FALSE(waiting.ready());
  EXPECT_EQ(semaphore.release(), 0);
  EXPECT_TRUE(waiting.get());
  EXPECT_EQ(semaphore.release(), 1);
}

// gevent test__semaphore: test_acquire_returns_false_after_timeout.
TEST(Semaphore, AcquireIsFalseWhenTheWaitIsOver) {
  Semaphore semaphore(0);
  EXPECT_FALSE(semaphore.acquire(1ms));
  EXPECT_FALSE(semaphore.acquire(0s));
  EXPECT_FALSE(semaphore.try_acquire());
  EXPECT_EQ(semaphore.release(), 1);
  EXPECT_TRUE(semaphore.try_acquire());
}

TEST(Semaphore, AKilledWaiterTakesNothing) {
  Semaphore semaphore(0);
  auto victim = spawn([&] { semaphore.acquire(); });
  auto heir = spawn([&] { return semaphore.acquire(); });
  yield();
  victim.kill();
  semaphore.release();
  EXPECT_TRUE(heir.get());
  EXPECT_EQ(semaphore.counter(), 0);
}

TEST(Semaphore, AReleaseGoesPastWaitersThatAreAboutToLeave) {
  Semaphore semaphore(0);
  auto late = spawn([&] { return semaphore.acquire(); });
  auto killed = spawn([&] { return semaphore.acquire(); });
  auto heir = spawn([&] { return semaphore.acquire(); });
  yield();
  expire(late);
  kill_soon(killed);
  semaphore.release();
  EXPECT_FALSE(late.get());
  killed.join();
  EXPECT_TRUE(heir.get());
  EXPECT_EQ(semaphore.counter(), 0);
}

// The permit was won first: the call succeeds and the kill waits for the next one.
TEST(Semaphore, AKillAfterThePermitWasWonThrowsAtTheNextBlockingCall) {
  Semaphore semaphore(0);
  bool has_it = false;
  auto winner = spawn([&] {
    has_it = semaphore.acquire();
    yield();
    has_it = false;
  });
  yield();
  semaphore.release();
  winner.kill();
  EXPECT_TRUE(has_it);
}

// gevent #1487: the waiter has it as soon as it is released.
TEST(Semaphore, ALateComerDoesNotOvertake) {
  Semaphore semaphore(1);
  semaphore.acquire();
  Log out;
  auto waiting = spawn([&] {
    semaphore.acquire();
    out.push_back("waiting");
    semaphore.release();
  });
  yield();
  semaphore.release();
  EXPECT_FALSE(semaphore.try_acquire());
  semaphore.acquire();
  out.push_back("late comer");
  waiting.join();
  EXPECT_EQ(out, (Log{"waiting", "late comer"}));
}

TEST(Semaphore, ServesWaitersInOrderOfArrival) {
  Semaphore semaphore(0);
  Log out;
  std::vector<Greenlet<>> waiters;
  for (const char* name : {"a", "b", "c"})
    waiters.push_back(spawn([&, name] {
      semaphore.acquire();
      out.push_back(name);
    }));
  yield();
  for (int i = 0; i < 3; ++i) semaphore.release();
  joinall(waiters);
  EXPECT_EQ(out, (Log{"a", "b", "c"}));
}

// gevent: wait() takes nothing.
TEST(Semaphore, WaitSeesAFreePermitAndLeavesIt) {
  Semaphore semaphore(0);
  EXPECT_EQ(semaphore.wait(1ms), 0);
  auto looking = spawn([&] { return semaphore.wait(); });
  yield();
  semaphore.release();
  EXPECT_EQ(looking.get(), 1);
  EXPECT_TRUE(semaphore.try_acquire());
}

TEST(Semaphore, ANegativeCounterIsRefused) {
  EXPECT_THROW(Semaphore semaphore(-1), std::invalid_argument);
}

// gevent: "Semaphore released too many times".
TEST(BoundedSemaphore, RefusesAReleaseTooMany) {
  BoundedSemaphore semaphore(1);
  EXPECT_THROW(semaphore.release(), std::logic_error);
  semaphore.acquire();
  semaphore.release();
  EXPECT_THROW(semaphore.release(), std::logic_error);
  EXPECT_EQ(semaphore.counter(), 1);
}

TEST(Semaphore, AKillAtTheBudgetYieldTakesNoPermit) {
  Semaphore semaphore(1);
  Hub& hub = green::get_hub();
  hub.set_budget(1);
  auto victim = spawn([&] { semaphore.acquire(); });
  detail::yield_now();  // it has started, and yields before it tries
  kill_soon(victim);
  hub.set_budget(Hub::default_budget);
  victim.join();
  EXPECT_EQ(semaphore.counter(), 1);
}

// gevent test__semaphore: TestSemaphoreMultiThread.
TEST(Semaphore, HubsOfTwoThreadsTakeTurnsAndLosersGiveUp) {
  constexpr int rounds = 2'000;
  Semaphore semaphore(1);
  int inside = 0;
  int total = 0;
  std::atomic<int> gave_up{0};
  auto duel = [&] {
    const Hold hold = green::get_hub().hold();
    auto body = [&] {
      for (int i = 0; i < rounds; ++i) {
        if (!semaphore.acquire(i % 4 == 0 ? Wait(20us) : Wait::forever())) {
          ++gave_up;
          continue;
        }
        EXPECT_EQ(++inside, 1);
        ++total;
        if (i % 16 == 0) yield();
        --inside;
        semaphore.release();
      }
    };
    joinall({spawn(body), spawn(body)});
  };
  std::thread first(duel);
  std::thread second(duel);
  first.join();
  second.join();
  EXPECT_EQ(total + gave_up, 4 * rounds);
  EXPECT_EQ(semaphore.counter(), 1);
}

// Waiters of two hubs are killed while permits are on their way to them.
TEST(Semaphore, NoPermitIsLostWhenWaitersOfOtherHubsAreKilled) {
  Semaphore semaphore(0);
  std::atomic<int> taken{0};
  std::atomic<bool> is_over{false};
  auto waiters = [&] {
    const Hold hold = green::get_hub().hold();
    while (!is_over) {
      auto waiter = spawn([&] {
        for (;;) {
          semaphore.acquire();
          ++taken;
        }
      });
      yield();
      sleep(10us);
      waiter.kill();
    }
  };
  std::thread first(waiters);
  std::thread second(waiters);
  constexpr int permits = 3'000;
  for (int i = 0; i < permits; ++i) {
    semaphore.release();
    if (i % 8 == 0) sleep(20us);
  }
  while (taken + semaphore.counter() < permits) sleep(100us);
  is_over = true;
  first.join();
  second.join();
  EXPECT_EQ(taken + semaphore.counter(), permits);
}

}  // namespace
}  // namespace greenroom
