// Kills at chosen suspension points.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using testkit::kill_everywhere;
using testkit::KillMoment;
using testkit::simulate;
using testkit::suspension_points;

// An actor with three suspension points, and how far it came.
void three_naps(const std::shared_ptr<std::vector<int>>& reached) {
  spawn_monitor([reached] {
    reached->push_back(0);
    sleep(1s);
    reached->push_back(1);
    yield();
    reached->push_back(2);
    receive([](std::string) {}, after(1s, [] {}));
    reached->push_back(3);
  });
  receive([](const Down&) {});
}

TEST(SuspensionPoints, AreTheParksAndYieldsOfAllButTheBody) {
  auto reached = std::make_shared<std::vector<int>>();
  EXPECT_EQ(suspension_points({}, [&] { three_naps(reached); }), 3);
  EXPECT_EQ(suspension_points({}, [] { sleep(1s); }), 0);
}

TEST(SuspensionPoints, AServerThatWaitsForMailIsAtOne) {
  struct Server {
    int handle(int n) { return n; }
  };
  const int points = suspension_points({}, [] {
    const auto server = start<Server>();
    EXPECT_EQ(call(server, 1), 1);
  });
  EXPECT_EQ(points, 2);
}

TEST(Kill, WhileParkingComesAtTheChosenPoint) {
  for (int at = 0; at < 3; ++at) {
    auto reached = std::make_shared<std::vector<int>>();
    simulate({.kill_at = at}, [&] { three_naps(reached); });
    EXPECT_EQ(reached->back(), at);
  }
}

// What has come to its end is not undone: the kill is thrown at the next point, if there is one.
// The third is a receive: an exit acts there until a message is taken.
TEST(Kill, WhileResumingLeavesASleepItsSuccess) {
  const int ends[] = {1, 1, 2};
  for (int at = 0; at < 3; ++at) {
    auto reached = std::make_shared<std::vector<int>>();
    simulate({.kill_at = at, .kill_moment = KillMoment::resuming}, [&] { three_naps(reached); });
    EXPECT_EQ(reached->back(), ends[at]) << at;
  }
}

TEST(Kill, AfterTheLastPointHitsNobody) {
  auto reached = std::make_shared<std::vector<int>>();
  const auto report = simulate({.kill_at = 3}, [&] { three_naps(reached); });
  EXPECT_EQ(reached->back(), 3);
  EXPECT_EQ(report.victim, "");
}

TEST(Kill, WhileParkingTakesNoTime) {
  auto time = [](KillMoment moment) {
    auto reached = std::make_shared<std::vector<int>>();
    return simulate({.kill_at = 0, .kill_moment = moment}, [&] { three_naps(reached); })
        .virtual_time;
  };
  EXPECT_EQ(time(KillMoment::parking), 0s);
  EXPECT_EQ(time(KillMoment::resuming), 1s);
}

TEST(Kill, OfAnActorIsSeenByItsMonitors) {
  simulate({.kill_at = 0}, [] {
    spawn_monitor([] { sleep(1s); });
    receive([&](const Down& down) { EXPECT_EQ(down.reason, Reason::killed); });
  });
}

TEST(Kill, OfAGreenletIsAGreenletExit) {
  simulate({.kill_at = 0}, [] {
    auto greenlet = green::spawn([] { sleep(1s); });
    greenlet.join();
    EXPECT_TRUE(greenlet.successful());
    EXPECT_THROW(greenlet.get(), green::GreenletExit);
  });
}

TEST(Kill, OfAnIdleServerEndsIt) {
  struct Server {
    int handle(int n) { return n; }
  };
  simulate({.kill_at = 0}, [] {
    const auto server = start<Server>();
    const MonitorRef ref = monitor(server.pid());
    receive([&](const Down& down) { EXPECT_EQ(down.ref, ref); });
    EXPECT_EQ(try_call(server, 1).reason(), Reason::noproc);
  });
}

TEST(Kill, IsHeldOffByUncancellable) {
  bool is_done = false;
  simulate({.kill_at = 0}, [&] {
    spawn_monitor([&] {
      {
        const Uncancellable uncancellable;
        sleep(1s);
        is_done = true;
      }
      sleep(1s);
      FAIL() << "it outlived its kill";
    });
    receive([&](const Down& down) { EXPECT_EQ(down.reason, Reason::killed); });
  });
  EXPECT_TRUE(is_done);
}

TEST(Kill, TheVictimAndItsPlaceAreNamed) {
  auto report = simulate({.kill_at = 0}, [] {
    spawn_monitor(SpawnOptions{.name = "sleeper"}, [] { sleep(1s); });
    receive([](const Down&) {});
  });
  EXPECT_NE(report.victim.find("'sleeper'"), std::string::npos) << report.victim;
  EXPECT_NE(report.victim.find("in sleep"), std::string::npos) << report.victim;
}

TEST(Kill, WhileResumingSparesWhoIsNeverWoken) {
  const auto report = simulate({.kill_at = 0, .kill_moment = KillMoment::resuming}, [] {
    spawn([] { receive([](int) {}); });
    yield();
    yield();
    sleep(1s);
  });
  EXPECT_EQ(report.suspension_points, 1);
  EXPECT_EQ(report.victim, "");
}

TEST(Kill, EverywhereMeansEachPointAndBothMoments) {
  std::vector<int> ends;
  const int kills = kill_everywhere({.hubs = 2}, [&] {
    auto reached = std::make_shared<std::vector<int>>();
    three_naps(reached);
    ends.push_back(reached->back());
  });
  EXPECT_EQ(kills, 6);
  EXPECT_EQ(ends, (std::vector<int>{3, 0, 1, 1, 1, 2, 2}));
}

}  // namespace
}  // namespace greenroom
