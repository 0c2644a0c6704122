// Two hubs meet inside a call: names, calls, replies, links, monitors, spawns on another hub,
// joins.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/tests/sweep/crossing.h"

namespace greenroom::sweep {
namespace {

using namespace std::chrono_literals;

struct Desk {
  struct Get {};
  struct Later {};
  int handle(Get) { return 7; }
  void handle(Later, ReplyTo<int> reply) {
    spawn(anywhere(), [reply = std::move(reply)]() mutable { reply.reply(8); });
  }
};

// Takes a name and gives it back, over and over.
void come_and_go(const std::string& name, int times) {
  for (int i = 0; i < times; ++i) {
    try {
      register_name(name);
      unregister_name(name);
    } catch (const BadName&) {
    }
    yield();
  }
}

TEST(NameCrossing, WhoWaitsForANameIsWokenForThatOnly) {
  cross([] {
    std::vector<Monitored> actors;
    actors.reserve(static_cast<std::size_t>(2));
    for (int i = 0; i < 2; ++i) {
      actors.push_back(spawn_monitor(anywhere(), [] {
        const NoLateWakeAtEnd at_end;
        try_call(ServerName<Desk>("desk").waiting(), Desk::Get{}, 1us);
        expect_no_late_wake();
      }));
      actors.push_back(spawn_monitor(anywhere(), [] { come_and_go("desk", 2); }));
    }
    join(actors);
  });
}

TEST(NameCrossing, ANameThatIsTakenEndsTheWait) {
  cross([] {
    const auto caller = spawn_monitor(anywhere(), [] {
      const NoLateWakeAtEnd at_end;
      EXPECT_EQ(call(ServerName<Desk>("desk").waiting(), Desk::Get{}, Wait::forever()), 7);
    });
    const auto server = spawn_monitor(anywhere(), [] {
      const auto desk = start<Desk>(SpawnOptions{.name = "desk"});
      const MonitorRef ref = monitor(desk.pid());
      sleep(1ms);
      exit(desk.pid(), Reason::kill);
      receive(when([&](const Down& down) { return down.ref == ref; }, [](const Down&) {}));
    });
    join({server});
    if (whereis("desk")) exit(*whereis("desk"), Reason::kill);
    exit(caller.pid, Reason::kill);
    join({caller});
  });
}

TEST(NameCrossing, OneOfTwoTakesIt) {
  cross([] {
    auto winners = std::make_shared<int>(0);
    std::vector<Monitored> rivals;
    rivals.reserve(static_cast<std::size_t>(2));
    for (int i = 0; i < 2; ++i) {
      rivals.push_back(spawn_monitor(anywhere(), [winners] {
        try {
          register_name("prize");
          ++*winners;
          sleep(1ms);
        } catch (const BadName&) {
        }
      }));
    }
    join(rivals);
    EXPECT_LE(*winners, 2);
    EXPECT_EQ(whereis("prize"), std::nullopt);
  });
}

TEST(CallCrossing, EveryCallEndsWithItsAnswer) {
  cross([] {
    const auto desk = start<Desk>(anywhere());
    std::vector<Monitored> callers;
    callers.reserve(static_cast<std::size_t>(2));
    for (int i = 0; i < 2; ++i) {
      callers.push_back(spawn_monitor(anywhere(), [desk] {
        const NoLateWakeAtEnd at_end;
        const auto now = try_call(desk, Desk::Get{}, Wait::forever());
        if (now) {
          EXPECT_EQ(*now, 7);
        }
        expect_no_late_wake();
        const auto later = try_call(desk, Desk::Later{}, 1us);
        if (later) {
          EXPECT_EQ(*later, 8);
        }
        expect_no_late_wake();
      }));
    }
    join(callers);
    exit(desk.pid(), Reason::kill);
  });
}

TEST(LinkCrossing, OfTwoThatLinkAndUnlinkEachOtherNobodyEndsTheOther) {
  cross([] {
    const Pid first = spawn(anywhere(), [] { receive([](int) {}); });
    const auto second = spawn_monitor(anywhere(), [first] {
      link(first);
      unlink(first);
    });
    join({second});
    sleep(1ms);
    const MonitorRef ref = monitor(first);
    send(first, 1);
    receive(when([&](const Down& down) { return down.ref == ref; }, [](const Down&) {}));
  });
}

TEST(MonitorCrossing, EachEndIsToldOnce) {
  cross([] {
    const auto ended = spawn_monitor(anywhere(), [] { yield(); });
    std::vector<Monitored> watchers;
    watchers.reserve(static_cast<std::size_t>(2));
    for (int i = 0; i < 2; ++i) {
      watchers.push_back(spawn_monitor(anywhere(), [pid = ended.pid] {
        const MonitorRef first = monitor(pid);
        const MonitorRef second = monitor(pid);
        demonitor(second);
        receive(when([&](const Down& down) { return down.ref == first; }, [](const Down&) {}));
        sleep(1ms);
        receive([](const Down&) { ADD_FAILURE() << "one more Down"; }, after(0s, [] {}));
      }));
    }
    join(watchers);
    join({ended});
  });
}

TEST(SpawnCrossing, EachActorHasAPidAndTheMailThatWasForIt) {
  cross([] {
    struct Number {
      int n;
    };
    auto seen = std::make_shared<std::multiset<int>>();
    std::vector<Monitored> spawners;
    spawners.reserve(static_cast<std::size_t>(2));
    for (int i = 0; i < 2; ++i) {
      spawners.push_back(spawn_monitor(anywhere(), [seen, i] {
        std::vector<Monitored> mine;
        std::set<Pid> pids;
        mine.reserve(static_cast<std::size_t>(3));
        for (int k = 0; k < 3; ++k) {
          mine.push_back(spawn_monitor(anywhere(), [seen] {
            receive([&](const Number& number) { seen->insert(number.n); });
          }));
          pids.insert(mine.back().pid);
          send(mine.back().pid, Number{10 * i + k});
        }
        EXPECT_EQ(pids.size(), 3U);
        join(mine);
      }));
    }
    join(spawners);
    sleep(1ms);
    for (const int n : *seen) EXPECT_EQ(seen->count(n), 1U);
  });
}

TEST(JoinCrossing, IsOverAtTheEndOfTheGreenletAndNotBefore) {
  cross([] {
    std::vector<Monitored> joiners;
    auto greenlet = std::make_shared<green::Greenlet<int>>();
    auto is_there = std::make_shared<green::Event>();
    joiners.push_back(spawn_monitor(anywhere(), [=] {
      *greenlet = green::spawn([] {
        yield();
        return 5;
      });
      is_there->set();
    }));
    joiners.reserve(static_cast<std::size_t>(2));
    for (int i = 0; i < 2; ++i) {
      joiners.push_back(spawn_monitor(anywhere(), [=] {
        const NoLateWakeAtEnd at_end;
        if (!is_there->wait(1ms)) return;
        const green::Greenlet<int> joined = *greenlet;
        joined.join(1us);
        expect_no_late_wake();
        joined.join();
        EXPECT_TRUE(joined.ready());
        expect_no_late_wake();
        green::joinall({joined, green::spawn([] { yield(); })});
      }));
    }
    join(joiners);
  });
}

TEST(JoinCrossing, AKillReachesAGreenletOfAnotherHubOnce) {
  cross([] {
    auto greenlet = std::make_shared<green::Greenlet<>>();
    auto is_there = std::make_shared<green::Event>();
    const auto owner = spawn_monitor(anywhere(), [=] {
      *greenlet = green::spawn([] { sleep(1s); });
      is_there->set();
    });
    std::vector<Monitored> killers;
    killers.reserve(static_cast<std::size_t>(2));
    for (int i = 0; i < 2; ++i) {
      killers.push_back(spawn_monitor(anywhere(), [=] {
        const NoLateWakeAtEnd at_end;
        if (!is_there->wait(1ms)) return;
        const green::Greenlet<> target = *greenlet;
        target.kill();
        EXPECT_TRUE(target.ready());
      }));
    }
    join(killers);
    join({owner});
  });
}

}  // namespace
}  // namespace greenroom::sweep
