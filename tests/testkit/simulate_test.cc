// The simulation: its clock, its hubs, its end, and what it says about a program that is wrong.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using testkit::LeakError;
using testkit::LivelockError;
using testkit::simulate;
using testkit::SimulationReport;

std::string text_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

// The clock.

TEST(VirtualClock, JumpsToTheNextTimerWhenEverybodyWaits) {
  const SimulationReport report = simulate({}, [] {
    const auto start = clock::now();
    sleep(24h * 365);
    EXPECT_EQ(clock::now() - start, 24h * 365);
  });
  EXPECT_EQ(report.virtual_time, 24h * 365);
}

TEST(VirtualClock, StandsStillWhileAnybodyIsReady) {
  simulate({}, [] {
    const auto start = clock::now();
    for (int i = 0; i < 100; ++i) yield();
    EXPECT_EQ(clock::now(), start);
  });
}

TEST(VirtualClock, StartsAtTheSameTimeInEverySimulation) {
  std::set<std::int64_t> starts;
  for (int i = 0; i < 3; ++i)
    simulate({.seed = static_cast<std::uint64_t>(i)}, [&] {
      starts.insert(clock::now().time_since_epoch().count());
      sleep(1s);
    });
  EXPECT_EQ(starts.size(), 1U);
}

TEST(VirtualClock, IsTheSameForAllHubs) {
  simulate({.hubs = 3}, [] {
    const auto start = clock::now();
    Tasks<std::int64_t> tasks;
    tasks.start([start] {
      sleep(3s);
      return (clock::now() - start).count();
    });
    const Pid me = self();
    spawn(SpawnOptions{.place = Placement::next_hub}, [me] {
      sleep(5s);
      send(me, clock::now().time_since_epoch().count());
    });
    EXPECT_EQ(*tasks.collect(10s).front(), std::chrono::nanoseconds(3s).count());
    receive([&](std::int64_t time) { EXPECT_EQ(time, (start + 5s).time_since_epoch().count()); });
  });
}

TEST(VirtualClock, ATimeoutFiresExactlyAtItsTime) {
  simulate({}, [] {
    const auto start = clock::now();
    EXPECT_FALSE(try_for(250ms, [] { receive([](int) {}); }));
    EXPECT_EQ(clock::now() - start, 250ms);
  });
}

// The hubs.

TEST(SimulatedHubs, NextHubGoesRoundAllOfThem) {
  simulate({.hubs = 3}, [] {
    std::vector<std::uint32_t> hubs;
    const Pid me = self();
    hubs.reserve(static_cast<std::size_t>(6));
    for (int i = 0; i < 6; ++i) {
      hubs.push_back(spawn(SpawnOptions{.place = Placement::next_hub}, [me] { send(me, 1); }).hub);
    }
    for (int i = 0; i < 6; ++i) receive([](int) {});
    EXPECT_EQ(std::set<std::uint32_t>(hubs.begin(), hubs.end()).size(), 3U);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(hubs[i], hubs[i + 3]);
  });
}

TEST(SimulatedHubs, LeastBusyFindsAnEmptyOne) {
  simulate({.hubs = 2}, [] {
    for (int i = 0; i < 5; ++i) spawn([] { receive([](int) {}); });
    sleep(1s);
    EXPECT_NE(spawn(SpawnOptions{.place = Placement::least_busy}, [] {}).hub, self().hub);
  });
}

TEST(SimulatedHubs, AnOwnThreadIsAHubOfTheSimulation) {
  simulate({.hubs = 2}, [] {
    const auto [pid, ref] =
        spawn_monitor(SpawnOptions{.place = Placement::own_thread}, [] { sleep(1h); });
    EXPECT_NE(pid.hub, self().hub);
    receive([&](const Down& down) { EXPECT_EQ(down.reason, Reason::normal); });
  });
}

struct Counter {
  struct Add {
    int n;
  };
  int sum = 0;
  int handle(const Add& add) { return sum += add.n; }
};

TEST(SimulatedHubs, CallsLinksAndMonitorsWorkBetweenThem) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    simulate({.seed = seed, .hubs = 3}, [] {
      trap_exits();
      const auto counter = start_link<Counter>(SpawnOptions{.place = Placement::next_hub});
      EXPECT_NE(counter.pid().hub, self().hub);
      EXPECT_EQ(call(counter, Counter::Add{2}), 2);
      EXPECT_EQ(call(counter, Counter::Add{3}), 5);
      const MonitorRef ref = monitor(counter.pid());
      exit(counter.pid(), Reason::kill);
      receive([&](const Exit& exit) { EXPECT_EQ(exit.from, counter.pid()); });
      receive([&](const Down& down) { EXPECT_EQ(down.ref, ref); });
      EXPECT_FALSE(is_alive(counter.pid()));
    });
  }
}

TEST(SimulatedHubs, ProcessesAreThoseOfTheSimulation) {
  // On this thread's own hub, which nobody runs meanwhile.
  const auto outside = green::spawn([] { receive([](int) {}); });
  const Pid stranger = outside.pid();
  simulate({.hubs = 2}, [stranger] {
    const Pid here = spawn([] { receive([](int) {}); });
    const Pid there = spawn({.place = Placement::next_hub}, [] { receive([](int) {}); });
    const std::vector<Pid> all = processes();
    const std::set<Pid> found(all.begin(), all.end());
    EXPECT_EQ(found, (std::set<Pid>{self(), here, there}));
    EXPECT_EQ(found.count(stranger), 0U);
  });
  send(stranger, 1);
  outside.join();
}

TEST(SimulatedHubs, AreNotSeenByARealHub) {
  std::promise<Pid> inside;
  std::promise<void> looked;
  std::thread other([&] {
    simulate({.hubs = 2}, [&] {
      inside.set_value(spawn({.place = Placement::next_hub}, [] { receive([](int) {}); }));
      looked.get_future().wait();  // asked now, its hubs would not answer
    });
  });
  const Pid hidden = inside.get_future().get();
  for (const Pid& pid : processes()) EXPECT_NE(pid, hidden);
  looked.set_value();
  other.join();
}

TEST(SimulatedHubs, GreenletsOfDifferentHubsMeetAtAnEvent) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    auto event = std::make_shared<green::Event>();
    simulate({.seed = seed, .hubs = 2}, [event] {
      spawn_monitor(SpawnOptions{.place = Placement::next_hub},
                    [event] { EXPECT_TRUE(event->wait(1s)); });
      event->set();
      receive([&](const Down& down) { EXPECT_EQ(down.reason, Reason::normal); });
    });
  }
}

// The end.

struct LastWords {
  static constexpr bool trap_exits = true;
  std::shared_ptr<std::vector<std::string>> seen;
  void handle(const Exit&) {}
  void terminate(const ExitReason& reason) { seen->push_back(reason.to_string()); }
};

TEST(EndOfASimulation, WhatTheBodyLeavesIsShutDown) {
  auto reasons = std::make_shared<std::vector<std::string>>();
  simulate({.hubs = 2}, [reasons] {
    start<LastWords>(reasons);
    spawn(SpawnOptions{.place = Placement::next_hub}, [] { receive([](int) {}); });
    green::spawn([] { sleep(1h); });
    green::spawn_later(1h, [] {});
    send_after(1h, self(), 1);
  });
  EXPECT_EQ(*reasons, std::vector<std::string>{"shutdown"});
}

TEST(EndOfASimulation, WhatDoesNotShutDownIsKilled) {
  simulate({}, [] {
    spawn([] {
      trap_exits();
      for (;;) receive([](const Exit&) {});
    });
  });
}

TEST(EndOfASimulation, WhatCannotBeKilledIsNamedAsALeak) {
  const std::string text = text_of([] {
    simulate({}, [] {
      spawn(SpawnOptions{.name = "stubborn"}, [] {
        const Uncancellable uncancellable;
        receive([](int) {});
      });
    });
  });
  EXPECT_NE(text.find("stubborn"), std::string::npos) << text;
  EXPECT_NE(text.find("has not ended"), std::string::npos) << text;
  unregister_name("stubborn");
}

TEST(EndOfASimulation, AnOpenDescriptorIsNamedAsALeak) {
  FILE* file = nullptr;
  EXPECT_THROW(simulate({}, [&] { file = std::fopen("/dev/null", "r"); }), LeakError);
  std::fclose(file);
}

TEST(EndOfASimulation, WhatTheBodyThrowsComesOut) {
  EXPECT_THROW(simulate({}, [] { throw std::out_of_range("x"); }), std::out_of_range);
  EXPECT_THROW(simulate({}, [] { throw 5; }), int);
}

TEST(EndOfASimulation, AnExitSignalThatEndsTheBodyComesOut) {
  const std::string text = text_of([] {
    simulate({}, [] {
      spawn_link([] { stop(ExitReason("broken")); });
      sleep(1h);
    });
  });
  EXPECT_NE(text.find("broken"), std::string::npos) << text;
}

TEST(EndOfASimulation, TheBodyMayStop) {
  simulate({}, [] { stop(); });
}

// Programs that do not end.

TEST(WrongProgram, ADeadlockIsFoundAndListed) {
  const std::string text = text_of([] {
    simulate({}, [] {
      green::Event never;
      never.wait();
    });
  });
  EXPECT_NE(text.find("block for ever"), std::string::npos) << text;
  EXPECT_NE(text.find("event.wait"), std::string::npos) << text;
  EXPECT_THROW(simulate({.hubs = 2}, [] { receive([](int) {}); }), green::LoopExit);
}

TEST(WrongProgram, TheBodyMayCatchADeadlockAndGoOn) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    simulate({.seed = seed, .hubs = 3}, [] {
      green::Event event;
      EXPECT_THROW(event.wait(), green::LoopExit);
      EXPECT_THROW(event.wait(), green::LoopExit);
      const auto setter = green::spawn([&] { event.set(); });
      EXPECT_TRUE(event.wait());
    });
  }
}

TEST(WrongProgram, ADeadlockOfABodyThatCannotBeThrownIntoIsFound) {
  EXPECT_THROW(simulate({},
                        [] {
                          const Uncancellable whatever_happens;
                          green::Event().wait();
                        }),
               green::LoopExit);
}

TEST(WrongProgram, ALivelockIsFoundAndListed) {
  const std::string text = text_of([] {
    simulate({.max_steps = 1000}, [] {
      const auto until = clock::now() + 1s;
      while (clock::now() < until) yield();
    });
  });
  EXPECT_NE(text.find("livelock"), std::string::npos) << text;
  EXPECT_THROW(simulate({.max_steps = 1000},
                        [] {
                          for (;;) yield();
                        }),
               LivelockError);
}

TEST(WrongProgram, ASimulationInAnActorIsRefused) {
  simulate({}, [] { EXPECT_THROW(simulate({}, [] {}), std::logic_error); });
}

TEST(Simulation, RunsBesideAHubOfTheThread) {
  yield();  // the thread has a hub from now on
  const auto real = clock::now();
  simulate({}, [] { sleep(1h); });
  EXPECT_LT(clock::now() - real, 1h);
  auto greenlet = green::spawn([] { return 3; });
  EXPECT_EQ(greenlet.get(), 3);
}

}  // namespace
}  // namespace greenroom
