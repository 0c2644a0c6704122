// Where actors live: placements, pids of actors that have not arrived yet, who lives where.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/actors/core/delivery.h"
#include "greenroom/scheduler/sync/event.h"
#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

struct Go {};
struct Ready {};
struct Collected {
  std::vector<int> numbers;
};

struct NamedCallable {
  // Not inlined: a trace shows functions that have a frame of their own.
  [[gnu::noinline]] void operator()() const {
    receive([](Go) {});
  }
};

// Placements.

TEST(Placement, HereIsTheSpawnersHub) {
  on_hubs(2, [] {
    EXPECT_EQ(spawn(SpawnOptions{.place = Placement::here}, [] {}).hub, self().hub);
    EXPECT_EQ(spawn([] {}).hub, self().hub);
  });
}

TEST(Placement, NextHubTakesTurns) {
  on_hubs(3, [] {
    std::vector<std::uint32_t> hubs;
    hubs.reserve(static_cast<std::size_t>(6));
    for (int i = 0; i < 6; ++i)
      hubs.push_back(spawn(SpawnOptions{.place = Placement::next_hub}, [] {}).hub);
    EXPECT_EQ(std::set<std::uint32_t>(hubs.begin(), hubs.begin() + 3).size(), 3U);
    EXPECT_TRUE(std::equal(hubs.begin(), hubs.begin() + 3, hubs.begin() + 3));
  });
}

TEST(Placement, LeastBusyAvoidsTheHubWithMoreActors) {
  on_hubs(2, [] {
    std::vector<Pid> load;
    load.reserve(static_cast<std::size_t>(10));
    for (int i = 0; i < 10; ++i) load.push_back(spawn([] { receive([](Go) {}); }));
    const Pid placed = spawn(SpawnOptions{.place = Placement::least_busy}, [] {});
    EXPECT_NE(placed.hub, self().hub);
    for (const Pid& pid : load) send(pid, Go{});
  });
}

TEST(Placement, OnOneHubIsAlwaysThere) {
  in_actor([] {
    for (const Placement place : {Placement::next_hub, Placement::least_busy})
      EXPECT_EQ(spawn(SpawnOptions{.place = place}, [] {}).hub, self().hub);
  });
}

TEST(Placement, OwnThreadIsAThreadAndAHubOfItsOwn) {
  in_actor([] {
    const auto mine = std::this_thread::get_id();
    const Monitored alone =
        spawn_monitor(SpawnOptions{.place = Placement::own_thread}, [mine, test = self()] {
          EXPECT_NE(std::this_thread::get_id(), mine);
          send(test, Ready{});
          receive([](Go) {});
        });
    EXPECT_NE(alone.pid.hub, self().hub);
    next<Ready>();
    EXPECT_TRUE(is_alive(alone.pid));
    send(alone.pid, Go{});
    EXPECT_EQ(end_of(alone), Reason::normal);
  });
}

std::size_t thread_count() {
  const std::filesystem::directory_iterator threads("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(threads), end(threads)));
}

// A thread that is left makes the test hang.
TEST(Placement, AThreadEndsWhenItsActorIsAbandonedOrNeverComes) {
  in_actor([] {
    const std::size_t before = thread_count();
    const SpawnOptions apart{.place = Placement::own_thread};
    const Monitored mule = spawn_monitor(apart, [test = self()] {
      const Uncancellable busy;
      send(test, Ready{});
      green::Event().wait();
    });
    next<Ready>();
    exit(mule.pid, Reason::kill);
    detail::send_signal({detail::SignalKind::abandon, self(), mule.pid});
    EXPECT_EQ(end_of(mule), Reason::killed);
    while (thread_count() > before) sleep(1ms);
    register_name("taken");
    EXPECT_THROW(spawn({.name = "taken", .place = Placement::own_thread}, [] {}), BadName);
    while (thread_count() > before) sleep(1ms);
  });
}

TEST(Placement, ActorsOfOwnThreadsTalkToEachOther) {
  in_actor([] {
    const SpawnOptions apart{.place = Placement::own_thread};
    const Monitored second = spawn_monitor(apart, [test = self()] {
      for (int i = 0; i < 100; ++i) send(test, next<int>());
    });
    const Monitored first = spawn_monitor(apart, [to = second.pid] {
      for (int i = 0; i < 100; ++i) send(to, i);
    });
    for (int i = 0; i < 100; ++i) ASSERT_EQ(next<int>(), i);
    end_of(first);
    end_of(second);
  });
}

// Pids of actors that have not arrived yet.

TEST(RemoteSpawn, GetsTheMailThatWasSentBeforeItArrivedInOrder) {
  on_hubs(2, [] {
    for (int round = 0; round < 100; ++round) {
      const Monitored actor = spawn_monitor(SpawnOptions{.place = elsewhere()}, [test = self()] {
        std::vector<int> all;
        all.reserve(static_cast<std::size_t>(20));
        for (int i = 0; i < 20; ++i) all.push_back(next<int>());
        send(test, Collected{all});
      });
      for (int i = 0; i < 20; ++i) send(actor.pid, i);
      const std::vector<int> all = next<Collected>().numbers;
      for (int i = 0; i < 20; ++i) ASSERT_EQ(all[static_cast<std::size_t>(i)], i);
      ASSERT_EQ(end_of(actor), Reason::normal);
    }
  });
}

// A third hub may hear of the pid before the actor is there: what it sends waits.
TEST(RemoteSpawn, CanBeReachedFromAThirdHubAtOnce) {
  on_hubs(3, [] {
    const auto relay = [](Pid test) {
      for (;;) {
        const bool goes_on = receive(
            [&](Pid target) {
              monitor(target);
              link(target);
              send(target, Go{});
              return true;
            },
            [&](const Down&) {
              send(test, Ready{});
              return true;
            },
            [](const Exit&) { return true; }, [](Go) { return false; });
        if (!goes_on) return;
      }
    };
    std::vector<Pid> relays;
    relays.reserve(static_cast<std::size_t>(3));
    for (int i = 0; i < 3; ++i) {
      relays.push_back(spawn(SpawnOptions{.place = Placement::next_hub}, [relay, test = self()] {
        trap_exits();
        relay(test);
      }));
    }
    for (int round = 0; round < 200; ++round) {
      const Pid actor =
          spawn(SpawnOptions{.place = Placement::next_hub}, [] { receive([](Go) {}); });
      for (const Pid& pid : relays) send(pid, actor);
    }
    for (int i = 0; i < 600; ++i) next<Ready>();
    for (const Pid& pid : relays) send(pid, Go{});
  });
}

TEST(RemoteSpawn, CanBeMonitoredLinkedAskedAndKilledBeforeItArrives) {
  on_hubs(2, [] {
    trap_exits();
    for (int round = 0; round < 50; ++round) {
      const Pid actor = spawn(SpawnOptions{.place = elsewhere()}, [] { receive([](Go) {}); });
      const MonitorRef ref = monitor(actor);
      link(actor);
      EXPECT_TRUE(is_alive(actor));
      EXPECT_EQ(process_info(actor).pid, actor);
      exit(actor, Reason::kill);
      EXPECT_FALSE(is_alive(actor));
      EXPECT_EQ(end_of(ref), Reason::killed);
      EXPECT_EQ(next<Exit>().reason, Reason::killed);
    }
  });
}

TEST(RemoteSpawn, ManyHavePidsOfTheirOwn) {  // more than one lease of numbers
  on_hubs(2, [] {
    const Placement place = elsewhere();
    std::set<Pid> pids;
    constexpr int count = 3000;
    for (int i = 0; i < count; ++i)
      pids.insert(spawn(SpawnOptions{.place = i % 2 ? place : Placement::here}, [] {}));
    EXPECT_EQ(pids.size(), static_cast<std::size_t>(count));
    for (const Pid& pid : pids) end_of(pid);
    EXPECT_LE(processes().size(), 4U);
  });
}

TEST(Processes, TellOfAllHubs) {
  on_hubs(2, [] {
    const Pid here = spawn([] { receive([](Go) {}); });
    const Pid there = spawn(SpawnOptions{.place = elsewhere()}, [] { receive([](Go) {}); });
    is_alive(there);
    const auto all = processes();
    for (const Pid& pid : {self(), here, there})
      EXPECT_EQ(std::count(all.begin(), all.end(), pid), 1) << pid;
    send(here, Go{});
    send(there, Go{});
  });
}

TEST(CurrentStack, ShowsWhereAParkedActorWaits) {
  on_hubs(2, [] {
    for (const Placement place : {Placement::here, elsewhere()}) {
      const Pid actor = spawn(SpawnOptions{.place = place}, NamedCallable());
      wait_for_state(actor, "parked in receive");
      EXPECT_NE(current_stack(actor).find("NamedCallable::operator()"), std::string::npos)
          << current_stack(actor);
      send(actor, Go{});
    }
    EXPECT_EQ(current_stack(Pid{}), "");
  });
}

}  // namespace
}  // namespace greenroom
