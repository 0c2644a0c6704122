// A holder or a waiter dies at any point of a lock's or a semaphore's hand-over.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/sync/lock.h"
#include "greenroom/tests/sweep/sweep.h"

namespace greenroom::sweep {
namespace {

using namespace std::chrono_literals;

TEST(LockSweep, ALockIsHeldByOneAndFreeInTheEnd) {
  sweep(4, {1, 2}, [] {
    auto lock = std::make_shared<green::Lock>();
    auto inside = std::make_shared<int>(0);
    std::vector<Monitored> actors;
    actors.reserve(static_cast<std::size_t>(3));
    for (int i = 0; i < 3; ++i) {
      actors.push_back(spawn_monitor(anywhere(), [=] {
        for (int n = 0; n < 2; ++n) {
          const std::lock_guard guard(*lock);
          EXPECT_EQ(++*inside, 1);
          struct Leave {
            int& count;
            ~Leave() { --count; }
          } leave{*inside};
          n == 0 ? yield() : sleep(1ms);
        }
      }));
    }
    join(actors);
    EXPECT_FALSE(lock->locked());
    EXPECT_TRUE(lock->try_lock());
  });
}

TEST(LockSweep, ATimedLockIsFreeInTheEnd) {
  sweep(4, {1, 2}, [] {
    auto lock = std::make_shared<green::Lock>();
    std::vector<Monitored> actors;
    actors.reserve(static_cast<std::size_t>(3));
    for (int i = 0; i < 3; ++i) {
      actors.push_back(spawn_monitor(anywhere(), [=] {
        for (int n = 0; n < 2; ++n) {
          if (!lock->acquire(1ms)) continue;
          const std::lock_guard guard(*lock, std::adopt_lock);
          sleep(1ms);
        }
      }));
    }
    join(actors);
    EXPECT_FALSE(lock->locked());
  });
}

TEST(LockSweep, ASemaphoreKeepsItsPermits) {
  sweep(4, {1, 2}, [] {
    auto semaphore = std::make_shared<green::BoundedSemaphore>(2);
    std::vector<Monitored> actors;
    actors.reserve(static_cast<std::size_t>(4));
    for (int i = 0; i < 4; ++i) {
      actors.push_back(spawn_monitor(anywhere(), [=] {
        semaphore->acquire();
        struct Release {
          green::Semaphore& semaphore;
          ~Release() { semaphore.release(); }
        } release{*semaphore};
        sleep(1ms);
        yield();
      }));
    }
    join(actors);
    EXPECT_EQ(semaphore->counter(), 2);
  });
}

TEST(LockSweep, AnRLockIsFreeInTheEnd) {
  sweep(4, {1, 2}, [] {
    auto lock = std::make_shared<green::RLock>();
    std::vector<Monitored> actors;
    actors.reserve(static_cast<std::size_t>(3));
    for (int i = 0; i < 3; ++i) {
      actors.push_back(spawn_monitor(anywhere(), [=] {
        const std::lock_guard outer(*lock);
        yield();
        const std::lock_guard inner(*lock);
        sleep(1ms);
      }));
    }
    join(actors);
    EXPECT_EQ(lock->count(), 0);
    EXPECT_TRUE(lock->try_lock());
  });
}

TEST(LockSweep, AConditionHoldsItsLockAfterEachWait) {
  sweep(4, {1, 2}, [] {
    struct Shared {
      green::Lock lock;
      green::Condition changed{lock};
      int inside = 0;
      bool is_open = false;
    };
    auto shared = std::make_shared<Shared>();
    std::vector<Monitored> actors;
    actors.reserve(static_cast<std::size_t>(3));
    for (int i = 0; i < 3; ++i) {
      actors.push_back(spawn_monitor(anywhere(), [=] {
        const std::lock_guard guard(shared->lock);
        shared->changed.wait_for([&] { return shared->is_open; });
        EXPECT_EQ(++shared->inside, 1);
        struct Leave {
          int& count;
          ~Leave() { --count; }
        } leave{shared->inside};
        yield();
      }));
    }
    sleep(1ms);
    {
      const std::lock_guard guard(shared->lock);
      shared->is_open = true;
      shared->changed.notify_all();
    }
    join(actors);
    EXPECT_FALSE(shared->lock.locked());
  });
}

TEST(EventSweep, ASetEventWakesAllWhoLive) {
  sweep(8, {1, 2}, [] {
    auto event = std::make_shared<green::Event>();
    std::vector<Monitored> actors;
    actors.reserve(static_cast<std::size_t>(3));
    for (int i = 0; i < 3; ++i)
      actors.push_back(spawn_monitor(anywhere(), [=] {
        event->wait();
        yield();
      }));
    sleep(1ms);
    event->set();
    join(actors);
  });
}

}  // namespace
}  // namespace greenroom::sweep
