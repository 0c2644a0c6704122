// An actor dies at any point while actors spawn, link, monitor, join and gather.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/tests/sweep/sweep.h"

namespace greenroom::sweep {
namespace {

using namespace std::chrono_literals;

// Counts who is there.
struct Presence {
  explicit Presence(std::shared_ptr<int> counter) : count(std::move(counter)) { ++*count; }
  ~Presence() { --*count; }
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;
  std::shared_ptr<int> count;
};

TEST(LinkSweep, ALinkedGroupEndsTogether) {
  sweep(8, {1, 2}, [] {
    auto present = std::make_shared<int>(0);
    const auto first = spawn_monitor(anywhere(), [=] {
      const Presence here(present);
      for (int i = 0; i < 2; ++i) {
        spawn_link(anywhere(), [=] {
          const Presence there(present);
          yield();
          receive([](int) {});
        });
        yield();
      }
      sleep(10ms);
      stop(ExitReason("enough"));
    });
    join({first});
    sleep(1s);
    EXPECT_EQ(*present, 0);
  });
}

TEST(LinkSweep, AnUnlinkedActorLivesOn) {
  sweep(8, {1, 2}, [] {
    const Pid me = self();
    const auto peer = spawn_monitor(anywhere(), [] { receive([](int) {}); });
    const auto other = spawn_monitor(anywhere(), [me, peer] {
      link(peer.pid);
      yield();
      unlink(peer.pid);
      yield();
      link(peer.pid);
      unlink(peer.pid);
      send(me, 1);  // unlinked from here on
      yield();
      stop(ExitReason("other"));
    });
    bool is_unlinked = false;
    receive([&](int) { is_unlinked = true; },
            when([&](const Down& down) { return down.ref == other.ref; }, [](const Down&) {}));
    sleep(1s);
    std::optional<ExitReason> ended;
    receive(when([&](const Down& down) { return down.ref == peer.ref; },
                 [&](const Down& down) { ended = down.reason; }),
            after(0s, [] {}));
    if (!ended) {
      send(peer.pid, 1);
      join({peer});
    } else if (is_unlinked) {
      EXPECT_EQ(*ended, Reason::killed);  // by the sweep, not by the link
    }
  });
}

TEST(MonitorSweep, EachEndIsToldOnce) {
  sweep(8, {1, 2}, [] {
    const Pid me = self();
    std::vector<Monitored> actors;
    actors.reserve(static_cast<std::size_t>(3));
    for (int i = 0; i < 3; ++i) {
      actors.push_back(spawn_monitor(anywhere(), [me] {
        const MonitorRef ref = monitor(me);
        yield();
        demonitor(ref);
        sleep(1ms);
      }));
    }
    join(actors);
    sleep(1s);
    receive([](const Down&) { ADD_FAILURE() << "a second Down"; }, after(0s, [] {}));
    EXPECT_EQ(process_info(me).monitored_by, 0U);
  });
}

TEST(GatherSweep, TasksAreCollectedWhole) {
  sweep(4, {1, 2}, [] {
    auto present = std::make_shared<int>(0);
    const auto gatherer = spawn_monitor(anywhere(), [=] {
      Tasks<int> tasks;
      for (int i = 0; i < 3; ++i) {
        tasks.start([=] {
          const Presence here(present);
          sleep(std::chrono::milliseconds(10 * i));
          return i;
        });
      }
      const auto outcomes = tasks.collect(15ms);
      EXPECT_EQ(outcomes.size(), 3U);
      EXPECT_EQ(*present, 0);
    });
    join({gatherer});
    EXPECT_EQ(*present, 0);
  });
}

TEST(GatherSweep, AScopeIsNotOutlived) {
  sweep(8, {1, 2}, [] {
    auto present = std::make_shared<int>(0);
    const auto owner = spawn_monitor(anywhere(), [=] {
      Scope scope;
      for (int i = 1; i < 3; ++i) {
        scope.spawn([=] {
          const Presence here(present);
          sleep(std::chrono::milliseconds(i));
          yield();
        });
      }
      yield();
    });
    join({owner});
    EXPECT_EQ(*present, 0);
  });
}

TEST(JoinSweep, AGreenletIsJoinedFromBothHubs) {
  sweep(8, {1, 2}, [] {
    const auto greenlet = green::spawn([] {
      sleep(2ms);
      return 5;
    });
    std::vector<Monitored> joiners;
    joiners.reserve(static_cast<std::size_t>(3));
    for (int i = 0; i < 3; ++i) {
      joiners.push_back(spawn_monitor(anywhere(), [=] {
        greenlet.join(i == 0 ? Wait(1ms) : Wait::forever());
        EXPECT_TRUE(i == 0 || greenlet.ready());
      }));
    }
    join(joiners);
    EXPECT_TRUE(greenlet.join(1s));
  });
}

TEST(TimeoutSweep, AKillAndATimeoutDoNotDisturbEachOther) {
  sweep(8, {1, 2}, [] {
    auto present = std::make_shared<int>(0);
    const auto actor = spawn_monitor(anywhere(), [=] {
      const Presence here(present);
      for (int i = 0; i < 3; ++i) {
        try_for(1ms, [] { receive([](int) {}); });
        with_deadline(1s, [] {
          yield();
          sleep(1ms);
        });
      }
    });
    join({actor});
    EXPECT_EQ(*present, 0);
  });
}

}  // namespace
}  // namespace greenroom::sweep
