#include "greenroom/scheduler/lock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/green.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Barrier;
using green::BoundedSemaphore;
using green::BrokenBarrier;
using green::Condition;
using green::Greenlet;
using green::joinall;
using green::Lock;
using green::RLock;
using green::Semaphore;
using green::spawn;

using Log = std::vector<std::string>;

// As if its deadline had come: it is on its way out and has not run yet.
void expire(const Greenlet<>& greenlet) {
  ASSERT_TRUE(detail::wake(greenlet.task(), greenlet.task().epoch, detail::ParkResult::expired));
}

void kill_soon(const Greenlet<>& greenlet) {
  detail::throw_into(greenlet.task(), std::make_exception_ptr(green::GreenletExit()));
}

// ---- Semaphore

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

// ---- Lock

TEST(Lock, WorksWithTheStandardGuards) {
  Lock lock;
  {
    const std::lock_guard guard(lock);
    EXPECT_TRUE(lock.locked());
    EXPECT_FALSE(lock.try_lock());
    EXPECT_FALSE(lock.acquire(1ms));
  }
  std::unique_lock guard(lock, std::try_to_lock);
  EXPECT_TRUE(guard.owns_lock());
}

TEST(Lock, OneGreenletAtATimeIsInside) {
  Lock lock;
  Log out;
  auto body = [&](std::string name) {
    const std::lock_guard guard(lock);
    out.push_back(name + " in");
    yield();
    out.push_back(name + " out");
  };
  joinall({spawn(body, "a"), spawn(body, "b")});
  EXPECT_EQ(out, (Log{"a in", "a out", "b in", "b out"}));
}

TEST(Lock, AKilledHolderReleasesItByUnwinding) {
  Lock lock;
  auto holder = spawn([&] {
    const std::lock_guard guard(lock);
    sleep(1h);
  });
  auto waiting = spawn([&] { const std::lock_guard guard(lock); });
  yield();
  yield();
  holder.kill();
  EXPECT_TRUE(waiting.join());
  EXPECT_FALSE(lock.locked());
}

// Python: "release unlocked lock".
TEST(Lock, AReleaseWithoutALockIsRefused) {
  Lock lock;
  EXPECT_THROW(lock.release(), std::logic_error);
}

// ---- RLock

TEST(RLock, ItsOwnerTakesItAgain) {
  RLock lock;
  {
    const std::lock_guard outer(lock);
    const std::lock_guard inner(lock);
    EXPECT_EQ(lock.count(), 2);
    EXPECT_FALSE(spawn([&] { return lock.try_lock(); }).get());
    EXPECT_FALSE(spawn([&] { return lock.acquire(1ms); }).get());
  }
  EXPECT_EQ(lock.count(), 0);
  EXPECT_TRUE(spawn([&] {
                const std::lock_guard guard(lock);
                return lock.is_mine();
              }).get());
}

TEST(RLock, AKilledWaiterLeavesItToTheNext) {
  RLock lock;
  std::optional<std::lock_guard<RLock>> guard(std::in_place, lock);
  auto victim = spawn([&] { lock.acquire(); });
  auto heir = spawn([&] { return lock.acquire(); });
  yield();
  victim.kill();
  guard.reset();
  EXPECT_TRUE(heir.get());
}

// gevent: "cannot release un-acquired lock".
TEST(RLock, OnlyItsOwnerMayReleaseIt) {
  RLock lock;
  EXPECT_THROW(lock.release(), std::logic_error);
  const std::lock_guard guard(lock);
  EXPECT_THROW(spawn([&] { lock.release(); }).get(), std::logic_error);
}

// ---- Condition

TEST(Condition, WaitFreesTheLockAndHasItAgain) {
  Lock lock;
  Condition changed(lock);
  bool is_ready = false;
  auto waiting = spawn([&] {
    const std::lock_guard guard(lock);
    changed.wait_for([&] { return is_ready; });
    return lock.locked();
  });
  yield();
  EXPECT_FALSE(lock.locked());
  {
    const std::lock_guard guard(changed);
    changed.notify();  // too early: it looks and waits again
  }
  yield();
  {
    const std::lock_guard guard(changed);
    is_ready = true;
    changed.notify();
  }
  EXPECT_TRUE(waiting.get());
  EXPECT_FALSE(lock.locked());
}

TEST(Condition, WaitIsFalseWhenItsTimeIsOver) {
  Condition condition;
  const std::lock_guard guard(condition);
  EXPECT_FALSE(condition.wait(1ms));
  EXPECT_FALSE(condition.wait_for([] { return false; }, 1ms));
  EXPECT_FALSE(condition.try_lock());
}

TEST(Condition, NotifyWakesAsManyAsItSays) {
  Condition condition;
  int woken = 0;
  auto body = [&] {
    const std::lock_guard guard(condition);
    woken += condition.wait(1h) ? 1 : 0;
  };
  const std::vector<Greenlet<>> waiters{spawn(body), spawn(body), spawn(body)};
  yield();
  auto notify = [&](int count) {
    const std::lock_guard guard(condition);
    condition.notify(count);
  };
  notify(2);
  for (int i = 0; i < 4; ++i) yield();
  EXPECT_EQ(woken, 2);
  {
    const std::lock_guard guard(condition);
    condition.notify_all();
  }
  joinall(waiters);
  EXPECT_EQ(woken, 3);
}

TEST(Condition, AKilledWaiterHasTheLockWhileItUnwindsAndPassesTheNewsOn) {
  Lock lock;
  Condition condition(lock);
  bool had_lock = false;
  auto victim = spawn([&] {
    const std::lock_guard guard(lock);
    try {
      condition.wait();
    } catch (const green::GreenletExit&) {
      had_lock = lock.locked();
      throw;
    }
  });
  auto heir = spawn([&] {
    const std::lock_guard guard(lock);
    return condition.wait();
  });
  yield();
  {
    const std::lock_guard guard(lock);
    kill_soon(victim);
    condition.notify();
  }
  EXPECT_TRUE(heir.get());
  victim.join();
  EXPECT_TRUE(had_lock);
  EXPECT_FALSE(lock.locked());
}

TEST(Condition, NeedsItsLock) {
  Condition condition;
  EXPECT_THROW(condition.wait(), std::logic_error);
  EXPECT_THROW(condition.notify(), std::logic_error);
}

// ---- Barrier

TEST(Barrier, LetsAllGoTogetherRoundAfterRound) {
  int rounds = 0;
  Barrier barrier(3, [&] { ++rounds; });
  Log out;
  auto body = [&](std::string name) {
    for (int round = 1; round <= 2; ++round) {
      const int index = barrier.wait();
      out.push_back(name + std::to_string(round) + ":" + std::to_string(index));
    }
  };
  joinall({spawn(body, "a"), spawn(body, "b"), spawn(body, "c")});
  EXPECT_EQ(rounds, 2);
  // The last to come goes on at once, and is the first of the next round.
  EXPECT_EQ(out, (Log{"c1:2", "a1:0", "b1:1", "b2:2", "c2:0", "a2:1"}));
  EXPECT_EQ(barrier.waiting(), 0);
}

TEST(Barrier, AWaitThatIsOverBreaksItForAll) {
  Barrier barrier(3);
  auto patient = spawn([&] { EXPECT_THROW(barrier.wait(), BrokenBarrier); });
  yield();
  EXPECT_THROW(barrier.wait(1ms), BrokenBarrier);
  patient.join();
  EXPECT_TRUE(barrier.is_broken());
  EXPECT_THROW(barrier.wait(), BrokenBarrier);
  barrier.reset();
  EXPECT_THROW(barrier.wait(1ms), BrokenBarrier);
}

TEST(Barrier, OneThatIsKilledOnlyLeaves) {
  Barrier barrier(2);
  auto victim = spawn([&] { barrier.wait(); });
  yield();
  victim.kill();
  EXPECT_EQ(barrier.waiting(), 0);
  auto first = spawn([&] { return barrier.wait(); });
  EXPECT_EQ(spawn([&] { return barrier.wait(); }).get(), 1);
  EXPECT_EQ(first.get(), 0);
}

// All have come before the deadline was noticed.
TEST(Barrier, AWaiterThatIsAboutToTimeOutGoesOnWhenTheLastComes) {
  Barrier barrier(2);
  auto late = spawn([&] { return barrier.wait(1h); });
  yield();
  expire(late);
  EXPECT_EQ(barrier.wait(), 1);
  EXPECT_EQ(late.get(), 0);
}

TEST(Barrier, AbortAndAThrowingActionBreakIt) {
  Barrier barrier(2, [] { throw std::runtime_error("no"); });
  auto waiting = spawn([&] { EXPECT_THROW(barrier.wait(), BrokenBarrier); });
  yield();
  EXPECT_THROW(barrier.wait(), std::runtime_error);
  waiting.join();
  barrier.reset();
  auto again = spawn([&] { EXPECT_THROW(barrier.wait(), BrokenBarrier); });
  yield();
  barrier.abort();
  again.join();
}

TEST(Barrier, NeedsAParty) { EXPECT_THROW(Barrier barrier(0), std::invalid_argument); }

}  // namespace
}  // namespace greenroom
