// run_actors on real threads: what comes out, what is ended, what is reported.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using testkit::run_actors;

TEST(RunActors, RunsTheBodyAsAnActorOnAThreadOfItsOwn) {
  const auto caller = std::this_thread::get_id();
  bool has_run = false;
  run_actors([&] {
    has_run = true;
    EXPECT_NE(std::this_thread::get_id(), caller);
    send(self(), 1);
    receive([](int n) { EXPECT_EQ(n, 1); });
  });
  EXPECT_TRUE(has_run);
}

TEST(RunActors, PlacesActorsOnAllHubs) {
  run_actors({.hubs = 3}, [] {
    std::set<std::uint32_t> hubs;
    const Pid me = self();
    for (int i = 0; i < 6; ++i) {
      hubs.insert(spawn(SpawnOptions{.place = Placement::next_hub}, [me] { send(me, 1); }).hub);
    }
    for (int i = 0; i < 6; ++i) receive([](int) {});
    EXPECT_EQ(hubs.size(), 3U);
  });
}

TEST(RunActors, TwoAtATimeDoNotShareTheirHubs) {
  auto hubs = [] {
    std::set<std::uint32_t> hubs;
    run_actors({.hubs = 2}, [&] {
      for (int i = 0; i < 20; ++i) {
        hubs.insert(spawn(SpawnOptions{.place = Placement::next_hub}, [] {}).hub);
        sleep(1ms);
      }
    });
    return hubs;
  };
  std::set<std::uint32_t> other;
  std::thread thread([&] { other = hubs(); });
  const std::set<std::uint32_t> mine = hubs();
  thread.join();
  EXPECT_EQ(mine.size(), 2U);
  EXPECT_EQ(other.size(), 2U);
}

TEST(RunActors, ThrowsWhatTheBodyThrows) {
  EXPECT_THROW(run_actors([] { throw std::out_of_range("x"); }), std::out_of_range);
}

TEST(RunActors, ThrowsIfAnExitSignalEndsTheBody) {
  EXPECT_THROW(run_actors([] {
                 spawn_link([] { stop(ExitReason("broken")); });
                 receive([](int) {});
               }),
               std::runtime_error);
}

TEST(RunActors, ThrowsLoopExitIfNothingCanWakeTheBody) {
  for (const int hubs : {1, 2})
    EXPECT_THROW(run_actors({.hubs = hubs}, [] { receive([](int) {}); }), green::LoopExit);
}

TEST(RunActors, EndsWhatTheBodyLeaves) {
  run_actors({.hubs = 2}, [] {
    spawn([] { receive([](int) {}); });
    spawn(SpawnOptions{.place = Placement::next_hub}, [] { receive([](int) {}); });
    green::spawn([] { sleep(1h); });
  });
}

TEST(RunActors, EndsActorsOnTheirOwnThreads) {
  run_actors([] {
    const Pid me = self();
    spawn(SpawnOptions{.place = Placement::own_thread}, [me] {
      send(me, 1);
      receive([](std::string) {});
    });
    receive([](int) {});
  });
}

TEST(RunActors, NamesADescriptorThatIsLeftOpen) {
  FILE* file = nullptr;
  EXPECT_THROW(run_actors([&] { file = std::fopen("/dev/null", "r"); }), testkit::LeakError);
  std::fclose(file);
}

TEST(RunActorsDeathTest, TheWatchdogDumpsAllHubsAndAborts) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(run_actors({.hubs = 2, .watchdog = 1s},
                          [] {
                            spawn(SpawnOptions{.name = "other", .place = Placement::next_hub},
                                  [] { sleep(1h); });
                            sleep(1h);
                          }),
               "the body of the test: parked in sleep");
}

TEST(Scale, IsAtLeastOneAndNeverMore) {
  EXPECT_EQ(testkit::scale(1), 1);
  EXPECT_GE(testkit::scale(5), 1);
  EXPECT_LE(testkit::scale(1000), 1000);
  EXPECT_GE(testkit::scale(1000), 100);
}

}  // namespace
}  // namespace greenroom
