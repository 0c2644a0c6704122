// Crossings: where a simulation may stop a hub inside a call.
#include "greenroom/scheduler/system/crossing.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using testkit::cross_everywhere;
using testkit::simulate;
using testkit::Simulation;
using testkit::SimulationReport;

// An event that loses a wake if it is set between the look and the queue.
class LossyEvent {
 public:
  void set() {
    {
      const std::lock_guard lock(mutex_);
      is_set_ = true;
    }
    const std::lock_guard lock(mutex_);
    waiters_.wake_all();
  }
  bool is_set() {
    const std::lock_guard lock(mutex_);
    return is_set_;
  }
  void wait() {
    detail::Task& self = detail::enter_blocking_call();
    if (is_set()) return;
    std::unique_lock lock(mutex_);
    detail::WaitNode node(self);
    waiters_.push_back(node);
    lock.unlock();
    detail::park("test");
    detail::throw_pending();
  }

 private:
  detail::SharedMutex mutex_;
  bool is_set_ = false;
  detail::WaitQueue waiters_;
};

void set_and_wait() {
  auto event = std::make_shared<LossyEvent>();
  const auto waiter =
      spawn_monitor(SpawnOptions{.place = Placement::next_hub}, [event] { event->wait(); });
  spawn(SpawnOptions{.place = Placement::next_hub}, [event] { event->set(); });
  receive(when([&](const Down& down) { return down.ref == waiter.ref; }, [](const Down&) {}));
}

constexpr int none = 1'000'000;  // there are not so many

TEST(Crossing, ShowsARaceThatIsInsideACall) {
  for (std::uint64_t seed = 0; seed < 200; ++seed)
    simulate({.seed = seed, .hubs = 2, .cross_at = none}, &set_and_wait);
  int found = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    try {
      simulate({.seed = seed, .hubs = 2}, &set_and_wait);
    } catch (const green::LoopExit&) {
      ++found;
    }
  }
  EXPECT_GT(found, 0);
  EXPECT_THROW(
      {
        for (std::uint64_t seed = 0; seed < 20; ++seed)
          cross_everywhere({.seed = seed, .hubs = 2}, &set_and_wait);
      },
      green::LoopExit);
}

// Two actors on two hubs send their name, each three times: the order in which it came.
std::string write_down_posts() {
  std::string order;
  const Pid me = self();
  for (const char name : {'a', 'b'}) {
    spawn(SpawnOptions{.place = Placement::next_hub}, [me, name] {
      for (int i = 0; i < 3; ++i) send(me, name);
    });
  }
  for (int i = 0; i < 6; ++i) receive([&](char name) { order += name; });
  return order;
}

std::string order_of_posts(const Simulation& simulation, SimulationReport* report = nullptr) {
  std::string order;
  const SimulationReport made = simulate(simulation, [&] { order = write_down_posts(); });
  if (report) *report = made;
  return order;
}

TEST(Crossing, IsChosenByTheSeedAndRepeatsWithIt) {
  SimulationReport first;
  SimulationReport second;
  int crossed = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Simulation simulation{.seed = seed, .hubs = 3};
    EXPECT_EQ(order_of_posts(simulation, &first), order_of_posts(simulation, &second));
    EXPECT_EQ(first.trace, second.trace);
    EXPECT_EQ(first.crossed, second.crossed);
    EXPECT_LE(first.crossed, first.crossings);
    crossed += first.crossed;
  }
  EXPECT_GT(crossed, 0);
}

TEST(Crossing, AtTheOneThatIsNamedStopsOnce) {
  SimulationReport report;
  order_of_posts({.hubs = 2, .cross_at = none}, &report);
  EXPECT_EQ(report.crossed, 0);
  ASSERT_GT(report.crossings, 0);
  const int crossings = report.crossings;
  for (int at = 0; at < crossings; ++at) {
    order_of_posts({.hubs = 2, .cross_at = at}, &report);
    EXPECT_EQ(report.crossed, 1);
  }
  EXPECT_EQ(cross_everywhere({.hubs = 2}, [] { write_down_posts(); }), crossings);
}

TEST(Crossing, NeverComesOnOneHub) {
  SimulationReport report;
  order_of_posts({.hubs = 1}, &report);
  EXPECT_EQ(report.crossings, 0);
  EXPECT_THROW(cross_everywhere({.hubs = 1}, [] {}), std::invalid_argument);
}

// Else the other hub would ask for the lock on the same thread.
TEST(Crossing, NeverComesWhileALockOfHubsIsHeld) {
  auto mutex = std::make_shared<detail::SharedMutex>();
  const auto body = [mutex] {
    auto inside = std::make_shared<int>(0);
    std::vector<Monitored> actors;
    actors.reserve(static_cast<std::size_t>(2));
    for (int i = 0; i < 2; ++i) {
      actors.push_back(
          spawn_monitor(SpawnOptions{.place = Placement::next_hub}, [mutex, inside, me = self()] {
            const std::lock_guard lock(*mutex);
            EXPECT_EQ(++*inside, 1);
            send(me, 1);
            --*inside;
          }));
    }
    for (const Monitored& actor : actors)
      receive(when([&](const Down& down) { return down.ref == actor.ref; }, [](const Down&) {}));
  };
  EXPECT_GT(cross_everywhere({.hubs = 2}, body), 0);
}

TEST(Crossing, LeavesTheClockWhereItIs) {
  cross_everywhere({.hubs = 2}, [] {
    const auto before = clock::now();
    const auto other = spawn_monitor(SpawnOptions{.place = Placement::next_hub}, [] {
      green::Event event;
      event.set();
      event.wait();
    });
    receive(when([&](const Down& down) { return down.ref == other.ref; }, [](const Down&) {}));
    EXPECT_EQ(clock::now(), before);
  });
}

TEST(YieldAtCrossings, LetsProgramsOnRealHubsRunAsTheyDo) {
  EXPECT_THROW(testkit::YieldAtCrossings(0), std::invalid_argument);
  const testkit::YieldAtCrossings often(2);
  testkit::run_actors({.hubs = 2}, [] {
    green::Semaphore semaphore(1);
    std::vector<Monitored> actors;
    auto inside = std::make_shared<std::atomic<int>>(0);
    actors.reserve(static_cast<std::size_t>(4));
    for (int i = 0; i < 4; ++i) {
      actors.push_back(spawn_monitor(SpawnOptions{.place = Placement::next_hub}, [&, inside] {
        for (int n = 0; n < 20; ++n) {
          semaphore.acquire();
          EXPECT_EQ(++*inside, 1);
          --*inside;
          semaphore.release();
        }
      }));
    }
    for (const Monitored& actor : actors)
      receive(when([&](const Down& down) { return down.ref == actor.ref; }, [](const Down&) {}));
    EXPECT_EQ(semaphore.counter(), 1);
  });
}

}  // namespace
}  // namespace greenroom
