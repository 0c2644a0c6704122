// A waiter, a killer or what they wait for dies at any point of wait, iwait, joinall, killall and
// links; a value of a local goes with its actor.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/tests/sweep/sweep.h"

namespace greenroom::sweep {
namespace {

using namespace std::chrono_literals;

struct Objects {
  green::Event event;
  green::Semaphore semaphore{0};
  green::AsyncResult<int> result;
};

TEST(WaitSweep, NothingHangsOnWhatWasWaitedForInTheEnd) {
  sweep(4, {1, 2}, [] {
    auto objects = std::make_shared<Objects>();
    auto target = green::spawn([] { sleep(3ms); });
    std::vector<Monitored> actors;
    actors.reserve(3);
    for (int i = 0; i < 2; ++i) {
      actors.push_back(spawn_monitor(anywhere(), [=] {
        green::wait({objects->event, objects->semaphore, target}, {.timeout = 2ms, .count = 2});
        for (const green::Waitable& ready : green::iwait({objects->result, objects->event})) {
          EXPECT_TRUE(ready.ready());
          yield();
        }
      }));
    }
    actors.push_back(spawn_monitor(anywhere(), [=] {
      objects->event.set();
      sleep(1ms);
      objects->semaphore.release();
      sleep(1ms);
      objects->result.set(1);
    }));
    sleep(5ms);
    objects->event.set();  // whoever was to is dead
    objects->result.set(1);
    join(actors);
    target.kill();
    sleep(1ms);  // what was posted has come
    EXPECT_FALSE(objects->event.has_links());
    EXPECT_FALSE(objects->semaphore.has_links());
    EXPECT_FALSE(target.has_links());
  });
}

TEST(WaitSweep, AKillersDeathLeavesItsKillsStanding) {
  sweep(4, {1, 2}, [] {
    std::vector<green::Greenlet<>> victims;
    victims.reserve(3);
    for (int i = 0; i < 3; ++i) {
      victims.push_back(green::spawn([] {
        try {
          sleep(1h);
        } catch (const green::GreenletExit&) {
          yield();
          throw;
        }
      }));
    }
    yield();
    const std::vector<Monitored> actors{
        spawn_monitor(anywhere(), [=] { green::killall(victims); }),
        spawn_monitor(anywhere(), [=] { green::joinall(victims, 10ms); })};
    sleep(1ms);
    green::killall(victims);
    join(actors);
    for (const green::Greenlet<>& victim : victims) {
      EXPECT_TRUE(victim.ready());
      EXPECT_FALSE(victim.has_links());
    }
  });
}

TEST(WaitSweep, EachLinkIsCalledOnceOrNeverWhenItWasNotMade) {
  sweep(4, {1, 2}, [] {
    auto made = std::make_shared<std::atomic<int>>(0);
    auto called = std::make_shared<std::atomic<int>>(0);
    auto target = green::spawn([] { sleep(2ms); });
    const std::vector<Monitored> actors{spawn_monitor(anywhere(), [=] {
      for (int i = 0; i < 3; ++i) {
        target.link([=](const green::Greenlet<>&) { ++*called; });
        target.rawlink([=](const green::Greenlet<>&) { ++*called; });
        *made += 2;
        sleep(1ms);
      }
    })};
    join(actors);
    target.join();
    sleep(1ms);
    EXPECT_EQ(*called, *made);
  });
}

TEST(WaitSweep, AValueOfALocalGoesWithItsActor) {
  struct Counted {
    explicit Counted(std::atomic<int>& number) : count(&number) { ++*count; }
    Counted(const Counted& other) : count(other.count) { ++*count; }
    Counted& operator=(const Counted&) = delete;
    ~Counted() {
      yield();
      --*count;
    }
    std::atomic<int>* count;
  };
  sweep(4, {1, 2}, [] {
    struct Shared {
      std::atomic<int> count = 0;
      green::local<Counted> values{Counted(count)};
    };
    auto shared = std::make_shared<Shared>();
    const int before = shared->count;
    std::vector<Monitored> actors;
    actors.reserve(3);
    for (int i = 0; i < 3; ++i) {
      actors.push_back(spawn_monitor(anywhere(), [=] {
        EXPECT_NE(shared->values->count, nullptr);
        yield();
      }));
    }
    join(actors);
    EXPECT_EQ(shared->count, before);
  });
}

}  // namespace
}  // namespace greenroom::sweep
