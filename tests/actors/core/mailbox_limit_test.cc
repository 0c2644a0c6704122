// Limits of mailboxes and what happens to what is too much.

#include <gtest/gtest.h>

#include <ostream>
#include <vector>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

struct Go {};

// Mailbox limits.

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

}  // namespace
}  // namespace greenroom
