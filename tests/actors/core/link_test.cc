// Links: they act both ways, are one however often they are made, answer for the dead, and end by
// unlink; and what they promise between hubs.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <ostream>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

struct Go {};
struct Ready {};

enum class Peer { same_hub, other_hub };
std::ostream& operator<<(std::ostream& out, Peer peer) {
  return out << (peer == Peer::same_hub ? "on the same hub" : "on another hub");
}

// The rules that must hold wherever the peer is.
class Link : public testing::TestWithParam<Peer> {
 protected:
  static Placement place() { return GetParam() == Peer::same_hub ? Placement::here : elsewhere(); }
  // Waits for Go, and ends with the reason.
  static Monitored peer(ExitReason reason = ExitReason("boom")) {
    return spawn_monitor(SpawnOptions{.place = place()}, [reason] {
      receive([](Go) {});
      stop(reason);
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Places, Link, testing::Values(Peer::same_hub, Peer::other_hub));

TEST_P(Link, ActsBothWays) {
  on_hubs(2, [] {
    trap_exits();
    const Monitored first = peer();
    link(first.pid);
    send(first.pid, Go{});
    EXPECT_EQ(next<Exit>().from, first.pid);

    // The linker's end reaches the one it has linked itself to.
    const Monitored second = peer();
    spawn([target = second.pid] {
      link(target);
      stop(ExitReason("linker"));
    });
    EXPECT_EQ(end_of(second), ExitReason("linker"));
  });
}

TEST_P(Link, RepeatedIsOneLink) {
  on_hubs(2, [] {
    trap_exits();
    const Monitored other = peer();
    for (int i = 0; i < 3; ++i) link(other.pid);
    EXPECT_EQ(process_info(self()).links.size(), 1U);
    EXPECT_EQ(process_info(other.pid).links.size(), 1U);
    send(other.pid, Go{});
    next<Exit>();
    end_of(other);
    EXPECT_TRUE(has_no_mail());
    EXPECT_TRUE(process_info(self()).links.empty());
  });
}

TEST_P(Link, MadeByBothIsOneLink) {
  on_hubs(2, [] {
    trap_exits();
    const Monitored other = spawn_monitor(SpawnOptions{.place = place()}, [test = self()] {
      link(test);
      send(test, Ready{});
      receive([](Go) {});
    });
    link(other.pid);
    next<Ready>();
    EXPECT_EQ(process_info(other.pid).links.size(), 1U);
    send(other.pid, Go{});
    next<Exit>();
    end_of(other);
    EXPECT_TRUE(has_no_mail());
  });
}

TEST(LinkToSelf, DoesNothing) {
  in_actor([] {
    link(self());
    EXPECT_TRUE(process_info(self()).links.empty());
    unlink(self());
  });
}

TEST_P(Link, OfSpawnLinkIsThereBeforeTheChildsFirstLine) {
  on_hubs(2, [] {
    trap_exits();
    for (int i = 0; i < 50; ++i) {
      const Pid child =
          spawn_link(SpawnOptions{.place = place()}, [] { stop(ExitReason("boom")); });
      const Exit exit = next<Exit>();
      EXPECT_EQ(exit.from, child);
      EXPECT_EQ(exit.reason, ExitReason("boom"));
    }
  });
}

TEST_P(Link, OfSpawnLinkEndsTheChildWithItsParent) {
  on_hubs(2, [place = place] {
    Pid child;
    const Monitored parent = spawn_monitor([&] {
      child = spawn_link(SpawnOptions{.place = place()}, [] { sleep(1h); });
      receive([](Go) {});
      stop(ExitReason("boom"));
    });
    wait_until([&] { return bool(child); });
    const MonitorRef watch = monitor(child);
    send(parent.pid, Go{});
    EXPECT_EQ(end_of(watch), ExitReason("boom"));
  });
}

TEST_P(Link, ToADeadActorIsTheSignalNoproc) {
  on_hubs(2, [] {
    trap_exits();
    const Monitored dead = peer(Reason::normal);
    send(dead.pid, Go{});
    end_of(dead);
    link(dead.pid);
    const Exit exit = next<Exit>();
    EXPECT_EQ(exit.from, dead.pid);
    EXPECT_EQ(exit.reason, Reason::noproc);
    EXPECT_TRUE(process_info(self()).links.empty());
  });
}

TEST_P(Link, ToADeadActorEndsOneThatDoesNotTrap) {  // the signal, never an error at the call
  on_hubs(2, [] {
    const Monitored dead = peer(Reason::normal);
    send(dead.pid, Go{});
    end_of(dead);
    EXPECT_EQ(end_of(spawn_monitor([pid = dead.pid] {
                try {
                  link(pid);
                } catch (const std::exception&) {
                  ADD_FAILURE() << "link() threw";
                }
                sleep(1h);
              })),
              Reason::noproc);
  });
}

TEST(LinkToNobody, IsTheSignalNoproc) {
  in_actor([] {
    trap_exits();
    link(Pid{});
    EXPECT_EQ(next<Exit>().reason, Reason::noproc);
  });
}

TEST(LinkToNobody, IsNoLinkAmongMany) {
  in_actor([] {
    trap_exits();
    for (int i = 0; i < 20; ++i) spawn_link([] { sleep(1h); });
    for (int i = 0; i < 3; ++i) {
      link(Pid{});
      EXPECT_EQ(next<Exit>().from, Pid{});
    }
    EXPECT_EQ(process_info(self()).links.size(), 20U);
  });
}

TEST_P(Link, HasNoEffectOnceUnlinkHasReturned) {
  on_hubs(2, [] {
    trap_exits();
    const Monitored other = peer();
    link(other.pid);
    unlink(other.pid);
    send(other.pid, Go{});
    EXPECT_EQ(end_of(other), ExitReason("boom"));
    EXPECT_TRUE(has_no_mail());
    EXPECT_TRUE(process_info(self()).links.empty());
  });
}

TEST_P(Link, UnlinkedByOneIsGoneForTheOther) {
  on_hubs(2, [] {
    const Monitored other = peer();
    const Monitored unlinker = spawn_monitor([pid = other.pid] {
      link(pid);
      unlink(pid);
      stop(ExitReason("unlinker"));
    });
    EXPECT_EQ(end_of(unlinker), ExitReason("unlinker"));
    EXPECT_TRUE(is_alive(other.pid));
    EXPECT_TRUE(process_info(other.pid).links.empty());
    send(other.pid, Go{});
    EXPECT_EQ(end_of(other), ExitReason("boom"));
  });
}

TEST_P(Link, ExitAlreadyInTheMailboxStaysThereAfterUnlink) {
  on_hubs(2, [] {
    trap_exits();
    const Monitored other = peer();
    link(other.pid);
    send(other.pid, Go{});
    end_of(other);
    unlink(other.pid);
    EXPECT_EQ(next<Exit>().from, other.pid);
  });
}

TEST_P(Link, UnlinkWithoutOneDoesNothing) {
  on_hubs(2, [] {
    trap_exits();
    const Monitored other = peer();
    unlink(other.pid);
    unlink(other.pid);
    link(other.pid);  // and does not break the next one
    send(other.pid, Go{});
    EXPECT_EQ(next<Exit>().from, other.pid);
    unlink(other.pid);  // of a dead one neither
    unlink(Pid{});
  });
}

TEST_P(Link, MadeAgainAfterUnlinkActs) {
  on_hubs(2, [] {
    trap_exits();
    const Monitored other = peer();
    for (int i = 0; i < 5; ++i) {
      link(other.pid);
      unlink(other.pid);
    }
    link(other.pid);
    send(other.pid, Go{});
    EXPECT_EQ(next<Exit>().reason, ExitReason("boom"));
    end_of(other);
    EXPECT_TRUE(has_no_mail());
  });
}

// The old link's exit is under way while this actor unlinks and links again. It must not act: the
// new link is to a dead actor, and says noproc - never "boom".
TEST(LinkAcrossHubs, AnExitOfTheOldLinkDoesNotActThroughANewOne) {
  on_hubs(2, [] {
    trap_exits();
    for (int i = 0; i < 50; ++i) {
      auto is_over = std::make_shared<std::atomic<bool>>(false);
      const Pid other = spawn_link(SpawnOptions{.place = elsewhere()}, [is_over] {
        struct AtTheEnd {
          std::shared_ptr<std::atomic<bool>> flag;
          ~AtTheEnd() { flag->store(true); }
        } const at_the_end{is_over};
        receive([](Go) {});
        stop(ExitReason("boom"));
      });
      send(other, Go{});
      // Without a turn of this hub, so that nothing from there can have arrived.
      while (!is_over->load()) {
      }
      unlink(other);
      link(other);
      EXPECT_EQ(next<Exit>().reason, Reason::noproc);
      EXPECT_TRUE(has_no_mail());
    }
  });
}

// Each unlinks while the other's unlink and link are under way. Whatever comes out, both ends must
// agree on it.
TEST(LinkAcrossHubs, BothEndsAgreeAfterCrossingUnlinksAndLinks) {
  on_hubs(2, [] {
    for (int round = 0; round < 50; ++round) {
      std::atomic<int> arrived{0};
      auto meet = [&arrived](int expected) {
        arrived.fetch_add(1);
        while (arrived.load() < expected) {
        }
      };
      const Monitored other =
          spawn_monitor(SpawnOptions{.place = elsewhere()}, [&meet, test = self()] {
            link(test);
            send(test, Ready{});
            receive([](Go) {});
            meet(2);
            unlink(test);
            link(test);
            meet(4);
            send(test, Ready{});
            receive([](Go) {});
          });
      next<Ready>();
      send(other.pid, Go{});
      meet(2);
      unlink(other.pid);
      meet(4);
      next<Ready>();
      const auto there = process_info(other.pid).links;  // a round trip: all has arrived there
      is_alive(other.pid);
      const auto here = process_info(self()).links;
      EXPECT_EQ(std::count(there.begin(), there.end(), self()),
                std::count(here.begin(), here.end(), other.pid));
      unlink(other.pid);
      send(other.pid, Go{});
      end_of(other);
    }
  });
}

TEST_P(Link, ManyAreToldOfOneEnd) {
  on_hubs(2, [] {
    const Monitored hub = peer();
    std::vector<Monitored> spokes;
    spokes.reserve(static_cast<std::size_t>(100));
    for (int i = 0; i < 100; ++i) {
      spokes.push_back(spawn_monitor([pid = hub.pid, test = self()] {
        link(pid);
        send(test, Ready{});
        sleep(1h);
      }));
    }
    for (int i = 0; i < 100; ++i) next<Ready>();
    EXPECT_EQ(process_info(hub.pid).links.size(), 100U);
    send(hub.pid, Go{});
    for (const Monitored& spoke : spokes) EXPECT_EQ(end_of(spoke), ExitReason("boom"));
  });
}

TEST_P(Link, SendsTheMailBeforeTheExit) {
  on_hubs(2, [] {
    trap_exits();
    spawn_link(SpawnOptions{.place = place()}, [test = self()] {
      for (int i = 0; i < 10; ++i) send(test, i);
      stop(ExitReason("boom"));
    });
    int before = 0;
    while (receive([](int) { return true; }, [](const Exit&) { return false; })) ++before;
    EXPECT_EQ(before, 10);
  });
}

}  // namespace
}  // namespace greenroom
