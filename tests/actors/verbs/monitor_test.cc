// Monitors: each call is one, fires once and tells why, answers for the dead, and ends by demonitor
// or with its watcher. A reason `noconnection` needs nodes.

#include <gtest/gtest.h>

#include <ostream>
#include <set>
#include <stdexcept>

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

class Monitor : public testing::TestWithParam<Peer> {
 protected:
  static Placement place() { return GetParam() == Peer::same_hub ? Placement::here : elsewhere(); }
  static Pid peer(ExitReason reason = ExitReason("boom"), std::string name = {}) {
    return spawn(SpawnOptions{.name = std::move(name), .place = place()}, [reason] {
      receive([](Go) {});
      stop(reason);
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Places, Monitor, testing::Values(Peer::same_hub, Peer::other_hub));

TEST_P(Monitor, EachCallIsAMonitorOfItsOwnThatFiresOnce) {
  on_hubs(2, [] {
    const Pid other = peer();
    std::set<MonitorRef> refs{monitor(other), monitor(other), monitor(other)};
    EXPECT_EQ(refs.size(), 3U);
    send(other, Go{});
    for (int i = 0; i < 3; ++i) EXPECT_EQ(refs.erase(next<Down>().ref), 1U);
    is_alive(other);
    EXPECT_TRUE(has_no_mail());
  });
}

TEST_P(Monitor, ActsOneWayOnly) {
  on_hubs(2, [] {
    const Pid other = peer();
    const Monitored watcher = spawn_monitor([other] {
      monitor(other);
      stop(ExitReason("watcher"));
    });
    EXPECT_EQ(end_of(watcher), ExitReason("watcher"));
    EXPECT_TRUE(is_alive(other));
    send(other, Go{});
    EXPECT_NE(end_of(other), ExitReason("watcher"));
  });
}

TEST_P(Monitor, DownTellsTheReferenceThePidAndTheReason) {
  on_hubs(2, [] {
    const Pid other = peer(ExitReason("boom", 42));
    const MonitorRef ref = monitor(other);
    send(other, Go{});
    const Down down = next<Down>();
    EXPECT_EQ(down.ref, ref);
    EXPECT_EQ(down.pid, other);
    EXPECT_EQ(down.reason, ExitReason("boom"));
    ASSERT_TRUE(down.reason.detail<int>());
    EXPECT_EQ(*down.reason.detail<int>(), 42);
  });
}

TEST_P(Monitor, OfADeadActorIsDownWithNoproc) {
  on_hubs(2, [] {
    const Pid other = peer(Reason::normal);
    send(other, Go{});
    end_of(other);
    EXPECT_EQ(end_of(other), Reason::noproc);
  });
}

TEST(MonitorOfNobody, IsDownWithNoproc) {
  in_actor([] {
    EXPECT_EQ(end_of(Pid{}), Reason::noproc);
    EXPECT_EQ(end_of(monitor("no such name")), Reason::noproc);
    EXPECT_TRUE(process_info(self()).monitors.empty());
  });
}

TEST_P(Monitor, ByNameIsResolvedOnceAndStaysWithThatActor) {
  on_hubs(2, [] {
    const Pid first = peer(ExitReason("first"), "worker");
    const MonitorRef ref = monitor("worker");
    unregister_name("worker");
    const Pid second = peer(ExitReason("second"), "worker");
    send(second, Go{});
    end_of(second);
    EXPECT_TRUE(has_no_mail());  // the new bearer of the name is not the one it watches
    send(first, Go{});
    const Down down = next<Down>();
    EXPECT_EQ(down.ref, ref);
    EXPECT_EQ(down.pid, first);
    EXPECT_EQ(down.reason, ExitReason("first"));
  });
}

TEST_P(Monitor, DemonitorOfALiveOneIsTrueAndNoDownComes) {
  on_hubs(2, [] {
    const Pid other = peer();
    const MonitorRef ref = monitor(other);
    EXPECT_TRUE(demonitor(ref));
    EXPECT_EQ(process_info(other).monitored_by, 0U);
    const MonitorRef second = monitor(other);
    send(other, Go{});
    EXPECT_EQ(next<Down>().ref, second);
    EXPECT_TRUE(has_no_mail());
  });
}

TEST_P(Monitor, DemonitorWhileTheDownIsUnderWayIsTrueAndNoDownComes) {
  on_hubs(2, [] {
    const Pid other = peer();
    const MonitorRef ref = monitor(other);
    // Two Downs come one after the other: after the first, the second may be anywhere on its way.
    const MonitorRef later = monitor(other);
    send(other, Go{});
    receive(when([&](const Down& down) { return down.ref == ref; }, [](const Down&) {}));
    demonitor(later);
    is_alive(other);
    EXPECT_TRUE(has_no_mail());
  });
}

TEST_P(Monitor, DemonitorFlushesADownThatIsThereAndIsFalse) {  // as with flush and info
  on_hubs(2, [] {
    const Pid other = peer();
    const MonitorRef ref = monitor(other);
    const MonitorRef kept = monitor(other);
    send(self(), 1);
    send(other, Go{});
    receive(when([&](const Down& down) { return down.ref == kept; }, [](const Down&) {}));
    EXPECT_FALSE(demonitor(ref));
    EXPECT_EQ(next<int>(), 1);  // only that one was taken
    EXPECT_TRUE(has_no_mail());
    EXPECT_FALSE(demonitor(ref));  // nothing is left of it
  });
}

TEST_P(Monitor, DemonitorOfOneThatFiredAndWasReadDoesNothing) {
  on_hubs(2, [] {
    const Pid other = peer();
    const MonitorRef ref = monitor(other);
    send(other, Go{});
    EXPECT_EQ(end_of(ref), ExitReason("boom"));
    EXPECT_FALSE(demonitor(ref));
    EXPECT_FALSE(demonitor(MonitorRef()));
  });
}

TEST_P(Monitor, DemonitorOfAnothersIsAnErrorThatNamesTheOwner) {
  on_hubs(2, [] {
    const Pid other = peer();
    const MonitorRef ref = monitor(other);
    const Monitored thief = spawn_monitor([ref, owner = self()] {
      try {
        demonitor(ref);
        ADD_FAILURE();
      } catch (const std::logic_error& error) {
        EXPECT_NE(std::string(error.what()).find(owner.to_string()), std::string::npos);
      }
    });
    end_of(thief);
    send(other, Go{});
    EXPECT_EQ(end_of(ref), ExitReason("boom"));  // it is still there
  });
}

TEST_P(Monitor, OfAWatcherThatEndsIsTakenAway) {
  on_hubs(2, [] {
    const Pid other = peer();
    for (int i = 0; i < 100; ++i) {
      end_of(spawn_monitor([other] {
        monitor(other);
        monitor(other);
      }));
    }
    EXPECT_EQ(process_info(other).monitored_by, 0U);
    exit(other, Reason::kill);
  });
}

TEST_P(Monitor, FiresForEveryReason) {
  on_hubs(2, [] {
    for (const ExitReason& reason : {Reason::normal, Reason::shutdown, Reason::kill, Reason::killed,
                                     Reason::noproc, ExitReason("boom")}) {
      const Pid other = peer(reason);
      const MonitorRef ref = monitor(other);
      send(other, Go{});
      EXPECT_EQ(end_of(ref), reason);
    }
  });
}

TEST_P(Monitor, DownComesAfterTheMailThatWasSentBefore) {
  on_hubs(2, [] {
    const Monitored other = spawn_monitor(SpawnOptions{.place = place()}, [test = self()] {
      for (int i = 0; i < 10; ++i) send(test, i);
    });
    int before = 0;
    while (receive([](int) { return true; },
                   [&](const Down& down) { return down.ref != other.ref; })) {
      ++before;
    }
    EXPECT_EQ(before, 10);
  });
}

TEST_P(Monitor, OfSpawnMonitorIsThereBeforeTheFirstLine) {
  on_hubs(2, [] {
    const Monitored other =
        spawn_monitor(SpawnOptions{.place = place()}, [] { stop(ExitReason("boom")); });
    EXPECT_EQ(other.ref.owner(), self());
    EXPECT_EQ(end_of(other), ExitReason("boom"));
  });
}

TEST(MonitorOfOneself, IsGoneWithOneself) {
  in_actor([] {
    const Monitored actor = spawn_monitor([] {
      monitor(self());
      link(self());
    });
    EXPECT_EQ(end_of(actor), Reason::normal);
  });
}

TEST(MonitorOfAHubThatHasEnded, IsDownWithNoproc) {
  in_actor([] {
    const Monitored alone = spawn_monitor(SpawnOptions{.place = Placement::own_thread}, [] {});
    EXPECT_EQ(end_of(alone), Reason::normal);
    EXPECT_EQ(end_of(alone.pid), Reason::noproc);
    EXPECT_FALSE(is_alive(alone.pid));
    EXPECT_FALSE(process_info(alone.pid).pid);
  });
}

TEST_P(Monitor, AThousandOfOneTargetAllFire) {
  on_hubs(2, [] {
    const Pid other = peer();
    std::set<MonitorRef> refs;
    for (int i = 0; i < 1000; ++i) refs.insert(monitor(other));
    for (int i = 0; i < 500; ++i) {
      EXPECT_TRUE(demonitor(*refs.begin()));
      refs.erase(refs.begin());
    }
    send(other, Go{});
    while (!refs.empty()) ASSERT_EQ(refs.erase(next<Down>().ref), 1U);
    is_alive(other);
    EXPECT_TRUE(has_no_mail());
  });
}

// However the body of an actor comes to its end, the exit that it has accepted is why.
TEST_P(Monitor, TellsTheExitThatWasAcceptedAndNotHowTheBodyEnded) {
  on_hubs(2, [] {
    const auto reason_of_end = [](void (*at_the_exit)()) {
      const Monitored actor =
          spawn_monitor(SpawnOptions{.place = place()}, [test = self(), at_the_exit] {
            try {
              send(test, Ready{});
              receive([](Go) {});
            } catch (...) {
              at_the_exit();
            }
          });
      next<Ready>();
      exit(actor.pid, ExitReason("boom"));
      return end_of(actor).tag() == "boom";
    };
    EXPECT_TRUE(reason_of_end([] {}));
    EXPECT_TRUE(reason_of_end([] { throw std::runtime_error("its own"); }));
    EXPECT_TRUE(reason_of_end([] { stop(ExitReason("another")); }));
    const Monitored busy = spawn_monitor(SpawnOptions{.place = place()}, [test = self()] {
      const Uncancellable until_the_end;
      send(test, Ready{});
      receive([](Go) {});
    });
    next<Ready>();
    exit(busy.pid, Reason::kill);
    send(busy.pid, Go{});
    EXPECT_EQ(end_of(busy), Reason::killed);
  });
}

}  // namespace
}  // namespace greenroom
