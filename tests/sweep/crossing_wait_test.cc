// Two hubs meet inside a call: events, locks, conditions, barriers and queues.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/mailbox/queue.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/tests/sweep/crossing.h"

namespace greenroom::sweep {
namespace {

using namespace std::chrono_literals;

// `count` actors on all hubs, until they have ended.
template <class F>
void all_do(int count, F f) {
  std::vector<Monitored> actors;
  actors.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    actors.push_back(spawn_monitor(anywhere(), [f, i] {
      const NoLateWakeAtEnd at_end;
      f(i);
    }));
  }
  join(actors);
}

TEST(EventCrossing, AWaitIsOverWhenItIsSetAndNotBefore) {
  cross([] {
    auto event = std::make_shared<green::Event>();
    auto was_set = std::make_shared<bool>(false);
    all_do(3, [=](int i) {
      if (i == 0) {
        *was_set = true;
        event->set();
        event->clear();
        return;
      }
      if (event->wait(1us)) {
        EXPECT_TRUE(*was_set);
      }
      expect_no_late_wake();
      if (event->wait(1us)) {
        EXPECT_TRUE(*was_set);
      }
    });
  });
}

TEST(EventCrossing, OneThatIsSetEndsEveryWait) {
  cross([] {
    auto event = std::make_shared<green::Event>();
    std::vector<Monitored> waiters;
    waiters.reserve(static_cast<std::size_t>(2));
    for (int i = 0; i < 2; ++i) {
      waiters.push_back(spawn_monitor(anywhere(), [event] {
        const NoLateWakeAtEnd at_end;
        event->wait();
      }));
    }
    join({spawn_monitor(anywhere(), [event] { event->set(); })});
    if (!event->is_set()) event->set();  // it was killed
    join(waiters);
  });
}

TEST(AsyncResultCrossing, GivesItsValueToAll) {
  cross([] {
    auto result = std::make_shared<green::AsyncResult<int>>();
    all_do(3, [=](int i) {
      if (i == 0) return result->set(5);
      const auto value = result->wait(1ms);
      if (value) {
        EXPECT_EQ(*value, 5);
      }
      expect_no_late_wake();
    });
  });
}

TEST(SemaphoreCrossing, NoPermitIsLostOrMade) {
  cross([] {
    auto semaphore = std::make_shared<green::Semaphore>(1);
    auto inside = std::make_shared<int>(0);
    all_do(3, [=](int i) {
      struct Inside {
        explicit Inside(int& n) : count(n) { EXPECT_EQ(++count, 1); }
        ~Inside() { --count; }
        int& count;
      };
      if (!semaphore->acquire(i == 0 ? Wait(1us) : Wait::forever())) return;
      {
        struct Release {
          ~Release() { semaphore.release(); }
          green::Semaphore& semaphore;
        };
        const Release release{*semaphore};
        const Inside here(*inside);
        yield();
      }
      expect_no_late_wake();
    });
    EXPECT_EQ(semaphore->counter(), 1);
  });
}

TEST(LockCrossing, IsHeldByOne) {
  cross([] {
    auto lock = std::make_shared<green::RLock>();
    auto inside = std::make_shared<int>(0);
    all_do(3, [=](int) {
      const std::lock_guard outer(*lock);
      const std::lock_guard inner(*lock);
      EXPECT_EQ(++*inside, 1);
      --*inside;
    });
    EXPECT_EQ(lock->count(), 0);
  });
}

TEST(ConditionCrossing, WhatWasNotifiedIsSeen) {
  cross([] {
    auto condition = std::make_shared<green::Condition>();
    auto ready = std::make_shared<int>(0);
    all_do(3, [=](int i) {
      const std::lock_guard guard(*condition);
      if (i == 0) {
        *ready = 1;
        condition->notify_all();
        return;
      }
      condition->wait_for([&] { return *ready == 1; }, 1ms);
    });
    EXPECT_TRUE(condition->try_lock());
    condition->unlock();
  });
}

TEST(BarrierCrossing, AllGoOnTogetherOrItIsBroken) {
  cross([] {
    auto barrier = std::make_shared<green::Barrier>(2);
    auto indices = std::make_shared<std::vector<int>>();
    all_do(2, [=](int) {
      try {
        indices->push_back(barrier->wait(1ms));
      } catch (const green::BrokenBarrier&) {
        EXPECT_TRUE(barrier->is_broken());
      }
    });
    if (indices->size() == 2) {
      EXPECT_NE(indices->front(), indices->back());
    }
  });
}

TEST(QueueCrossing, EachItemArrivesOnce) {
  cross([] {
    auto queue = std::make_shared<green::Queue<int>>(green::QueueOptions{.max_size = 1});
    auto put = std::make_shared<int>(0);
    auto got = std::make_shared<int>(0);
    all_do(4, [=](int i) {
      for (int n = 0; n < 2; ++n) {
        try {
          if (i % 2 == 0) {
            queue->put(1, 1us);
            ++*put;
          } else {
            *got += queue->get(1us);
          }
        } catch (const green::Full&) {
        } catch (const green::Empty&) {
        }
        expect_no_late_wake();
      }
    });
    // A putter that was killed on its way out may have put its item.
    const int left = static_cast<int>(queue->size());
    EXPECT_GE(*got + left, *put);
    EXPECT_LE(*got + left, 4);
    for (int n = 0; n < left; ++n) queue->get_nowait();
    EXPECT_TRUE(queue->empty());
  });
}

// Two hubs call for the turn, serve each other's waiters and leave; the last of them destroys it.
TEST(QueueCrossing, NobodyWaitsForWhatIsThere) {
  cross({.everywhere = 5, .by_seed = 2000, .with_kills = 50}, [] {
    auto queue = std::make_shared<green::Queue<int>>(green::QueueOptions{.max_size = 1});
    auto waiting = std::make_shared<int>(0);
    std::vector<Monitored> actors;
    actors.reserve(2);
    for (int hub = 0; hub < 2; ++hub) {
      actors.push_back(spawn_monitor(anywhere(), [=] {
        const auto getter = green::spawn([=] {
          ++*waiting;
          queue->get();
          --*waiting;
        });
        queue->put(1);
        queue->put(2);
        getter.join();
      }));
    }
    const std::weak_ptr<green::Queue<int>> remains = queue;
    queue.reset();
    sleep(1s);
    if (const auto last = remains.lock()) {
      EXPECT_FALSE(*waiting > 0 && !last->empty());
    }
    for (const Monitored& actor : actors) exit(actor.pid, Reason::kill);
    join(actors);
  });
}

TEST(ChannelCrossing, EachItemIsHandedOver) {
  cross([] {
    auto channel = std::make_shared<green::Channel<int>>();
    auto got = std::make_shared<int>(0);
    all_do(2, [=](int i) {
      try {
        if (i == 0) {
          channel->put(1, 1ms);
        } else {
          *got += channel->get(1ms);
        }
      } catch (const green::Full&) {
      } catch (const green::Empty&) {
      }
    });
    EXPECT_LE(*got, 1);
  });
}

}  // namespace
}  // namespace greenroom::sweep
