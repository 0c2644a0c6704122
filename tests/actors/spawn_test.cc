// spawn and its options: names, labels, limits, stacks, placements; and pids of actors that have
// not arrived yet.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

struct Go {};
struct Ready {};

TEST(Spawn, StartsAtTheEndOfTheReadyQueueAndNeverAtOnce) {
  in_actor([] {
    std::string order;
    spawn([&] { order += 'a'; });
    spawn([&] {
      spawn([&] { order += 'c'; });
      order += 'b';
    });
    EXPECT_EQ(order, "");
    yield();
    yield();
    EXPECT_EQ(order, "abc");
  });
}

TEST(Spawn, MovesTheCallableAndItsArgumentsIn) {
  in_actor([] {
    struct MoveOnly {
      std::unique_ptr<int> one = std::make_unique<int>(1);
      void operator()(std::unique_ptr<int> two, std::string three, Pid test) const {
        send(test, std::to_string(*one) + std::to_string(*two) + three);
      }
    };
    spawn(MoveOnly(), std::make_unique<int>(2), "3", self());
    EXPECT_EQ(next<std::string>(), "123");
  });
}

TEST(Spawn, DestroysTheCallableBeforeTheEndIsTold) {
  in_actor([] {
    auto owned = std::make_shared<int>(0);
    const std::weak_ptr<int> seen = owned;
    const Monitored actor = spawn_monitor([owned = std::move(owned)] {});
    end_of(actor);
    EXPECT_TRUE(seen.expired());
  });
}

TEST(Spawn, OfAFunctionPointerWorks) {
  in_actor([] {
    void (*function)(Pid) = [](Pid test) { send(test, Ready{}); };
    spawn(function, self());
    next<Ready>();
  });
}

TEST(Spawn, TellsTheParent) {
  in_actor([] {
    const Pid child = spawn([] { receive([](Go) {}); });
    EXPECT_EQ(process_info(child).parent, self());
    send(child, Go{});
  });
}

TEST(Spawn, FromHubWorkHasNoParent) {
  in_actor([] {
    Hub::current().post([test = self()] { spawn([test] { send(test, self()); }); });
    const Pid child = next<Pid>();
    EXPECT_FALSE(process_info(child).parent);
  });
}

TEST(SpawnOptionsLabel, IsInDescriptions) {
  in_actor([] {
    const Pid labelled =
        spawn(SpawnOptions{.name = "n", .label = "tea maker"}, [] { receive([](Go) {}); });
    const std::string text = process_info(labelled).label;
    EXPECT_NE(text.find("tea maker"), std::string::npos) << text;
    EXPECT_NE(text.find("'n'"), std::string::npos) << text;
    EXPECT_NE(text.find(labelled.to_string()), std::string::npos) << text;
    send(labelled, Go{});
  });
}

struct NamedCallable {
  // Not inlined: a trace shows functions that have a frame of their own.
  [[gnu::noinline]] void operator()() const {
    receive([](Go) {});
  }
};

TEST(SpawnOptionsLabel, IsTheFunctionsTypeByDefault) {
  in_actor([] {
    const Pid actor = spawn(NamedCallable());
    EXPECT_NE(process_info(actor).label.find("NamedCallable"), std::string::npos);
    send(actor, Go{});
  });
}

// ---- stacks ----

[[gnu::noinline]] int touch_a_megabyte() {
  volatile char room[1 << 20];
  for (std::size_t i = 0; i < sizeof room; i += 4096) room[i] = 1;
  return room[0];
}

TEST(SpawnOptionsStackSize, IsThereToBeUsed) {
  in_actor([] {
    const Monitored actor = spawn_monitor(SpawnOptions{.stack_size = 4 << 20}, [test = self()] {
      yield();
      send(test, touch_a_megabyte());
    });
    EXPECT_EQ(next<int>(), 1);
    EXPECT_EQ(end_of(actor), Reason::normal);
  });
}

// ---- mailbox limits ----

struct Collected {
  std::vector<int> numbers;
};

// Collects what is in its mailbox once it is told to by name of its gate.
Pid limited(MailboxLimit limit, green::Event& gate, Placement place = Placement::here) {
  return spawn(SpawnOptions{.place = place, .mailbox = limit}, [&gate, test = self()] {
    gate.wait();
    Collected all;
    while (receive(
        [&](int n) {
          all.numbers.push_back(n);
          return true;
        },
        after(0s, [] { return false; }))) {
    }
    send(test, all);
  });
}

std::vector<int> what_gets_through(Overflow overflow, std::size_t& dead_letters) {
  green::Event gate;
  const Pid actor = limited({.messages = 3, .overflow = overflow}, gate);
  yield();
  for (int i = 1; i <= 5; ++i) send(actor, i);
  dead_letters = process_info(actor).dead_letters;
  gate.set();
  return next<Collected>().numbers;
}

TEST(MailboxLimit, RejectKeepsTheOldest) {
  in_actor([] {
    std::size_t dead_letters = 0;
    EXPECT_EQ(what_gets_through(Overflow::reject, dead_letters), (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(dead_letters, 2U);
  });
}

TEST(MailboxLimit, DropNewestKeepsTheOldest) {
  in_actor([] {
    std::size_t dead_letters = 0;
    EXPECT_EQ(what_gets_through(Overflow::drop_newest, dead_letters), (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(dead_letters, 2U);
  });
}

TEST(MailboxLimit, DropOldestKeepsTheNewest) {
  in_actor([] {
    std::size_t dead_letters = 0;
    EXPECT_EQ(what_gets_through(Overflow::drop_oldest, dead_letters), (std::vector<int>{3, 4, 5}));
    EXPECT_EQ(dead_letters, 2U);
  });
}

TEST(MailboxLimit, ExitEndsTheActor) {
  in_actor([] {
    const Monitored actor = spawn_monitor(
        SpawnOptions{.mailbox = {.messages = 1, .overflow = Overflow::exit}}, [] { sleep(1h); });
    yield();
    send(actor.pid, 1);
    EXPECT_TRUE(is_alive(actor.pid));
    send(actor.pid, 2);
    EXPECT_EQ(end_of(actor), ExitReason("mailbox_overflow"));
  });
}

TEST(MailboxLimit, OfZeroIsNone) {
  in_actor([] {
    green::Event gate;
    const Pid actor = limited({}, gate);
    for (int i = 0; i < 10000; ++i) send(actor, i);
    gate.set();
    EXPECT_EQ(next<Collected>().numbers.size(), 10000U);
  });
}

TEST(MailboxLimit, NeitherCountsNorDropsExitsAndDowns) {
  in_actor([] {
    for (const Overflow overflow : {Overflow::reject, Overflow::drop_oldest, Overflow::exit}) {
      green::Event gate;
      std::vector<Pid> watched;
      watched.reserve(static_cast<std::size_t>(5));
      for (int i = 0; i < 5; ++i) watched.push_back(spawn([] { receive([](Go) {}); }));
      const Monitored actor =
          spawn_monitor(SpawnOptions{.mailbox = {.messages = 2, .overflow = overflow}}, [&] {
            trap_exits();
            for (const Pid& pid : watched) {
              link(pid);
              monitor(pid);
            }
            gate.wait();
            int signals = 0;
            int messages = 0;
            while (receive([&](const Exit&) { return ++signals > 0; },
                           [&](const Down&) { return ++signals > 0; },
                           [&](int) { return ++messages > 0; }, after(0s, [] { return false; }))) {
            }
            EXPECT_EQ(signals, 10);
            EXPECT_EQ(messages, 2);
          });
      wait_for_state(actor.pid, "parked in event.wait");
      for (const Pid& pid : watched) {
        const MonitorRef ref = monitor(pid);
        send(pid, Go{});
        end_of(ref);
      }
      send(actor.pid, 1);
      send(actor.pid, 2);
      gate.set();
      EXPECT_EQ(end_of(actor), Reason::normal);
    }
  });
}

enum class Peer { same_hub, other_hub };
std::ostream& operator<<(std::ostream& out, Peer peer) {
  return out << (peer == Peer::same_hub ? "on the same hub" : "on another hub");
}

struct Busy {
  struct Block {};
  green::Event* gate;
  void handle(Block) { gate->wait(); }
  int handle(int n) { return n; }
};

class FullServer : public testing::TestWithParam<Peer> {
 protected:
  static Placement place() { return GetParam() == Peer::same_hub ? Placement::here : elsewhere(); }
};
INSTANTIATE_TEST_SUITE_P(Places, FullServer, testing::Values(Peer::same_hub, Peer::other_hub));

TEST_P(FullServer, RefusesARequestAtOnceWithMailboxFull) {
  on_hubs(2, [] {
    green::Event gate;
    const auto server = start<Busy>(
        SpawnOptions{.place = place(), .mailbox = {.messages = 1, .overflow = Overflow::reject}},
        &gate);
    cast(server, Busy::Block{});
    wait_for_state(server.pid(), "parked in event.wait");
    cast(server, 1);
    const auto answer = try_call(server, 2, Wait::forever());
    EXPECT_FALSE(answer);
    EXPECT_EQ(answer.reason(), ExitReason("mailbox_full"));
    gate.set();
    exit(server.pid(), Reason::kill);
    end_of(server.pid());
  });
}

TEST_P(FullServer, FailsTheCallerOfARequestThatMadeRoom) {
  on_hubs(2, [] {
    green::Event gate;
    const auto server =
        start<Busy>(SpawnOptions{.place = place(),
                                 .mailbox = {.messages = 1, .overflow = Overflow::drop_oldest}},
                    &gate);
    cast(server, Busy::Block{});
    wait_for_state(server.pid(), "parked in event.wait");
    auto oldest = green::spawn([&] { return try_call(server, 1, Wait::forever()).reason(); });
    wait_until([&] { return process_info(server.pid()).mailbox_size == 1; });
    cast(server, 2);
    EXPECT_EQ(oldest.get(patience), ExitReason("mailbox_full"));
    gate.set();
    exit(server.pid(), Reason::kill);
    end_of(server.pid());
  });
}

// ---- placements ----

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

// ---- pids of actors that have not arrived yet ----

TEST(RemoteSpawn, GetsTheMailThatWasSentBeforeItArrivedInOrder) {  // S2
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
