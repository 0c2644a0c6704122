// A server that does not want to run, and its supervisor.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

// Runs as long as *wants says so.
struct Moody {
  explicit Moody(const bool* wants) {
    if (!*wants) stop(ExitReason("ignore"));
  }
  struct Fail {};
  void handle(Fail) { stop(ExitReason("boom")); }
};

const bool never = false;

void in_trapping_actor(std::function<void()> body) {
  in_actor([&] {
    trap_exits();
    body();
  });
}

TEST(IgnoredStart, IsNoCrashAndTheActorEndsNormally) {
  in_trapping_actor([] {
    testing::internal::CaptureStderr();
    try {
      start_link<Moody>(SpawnOptions{.name = "moody"}, &never);
      ADD_FAILURE() << "it has started";
    } catch (const StartError& error) {
      EXPECT_EQ(error.reason(), ExitReason("ignore"));
    }
    EXPECT_FALSE(whereis("moody"));
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    receive([](Message& more) { ADD_FAILURE() << more.type_name(); }, after(0s, [] {}));
  });
}

TEST(IgnoredStart, KeepsTheSpecificationUnlessItIsTemporary) {
  in_trapping_actor([] {
    bool wants = false;
    const Pid tree = start_supervisor(supervisor(
        {.children = {child<Moody>({.id = "a"}, &wants),
                      child<Moody>({.id = "b", .restart = Restart::temporary}, &wants),
                      child<Moody>({.id = "c", .restart = Restart::transient}, &wants)}}));
    std::vector<std::string> ids;
    for (const ChildInfo& info : which_children(tree)) {
      EXPECT_FALSE(info.pid);
      EXPECT_FALSE(info.is_restarting);
      ids.push_back(info.id);
    }
    EXPECT_EQ(ids, (std::vector<std::string>{"a", "c"}));
    EXPECT_FALSE(restart_child(tree, "a"));
    wants = true;
    EXPECT_TRUE(is_alive(restart_child(tree, "a")));
    wants = false;
    EXPECT_FALSE(start_child(tree, child<Moody>({.id = "d"}, &wants)));
    EXPECT_FALSE(
        start_child(tree, child<Moody>({.id = "e", .restart = Restart::temporary}, &wants)));
    EXPECT_EQ(count_children(tree).specs, 3U);
    EXPECT_EQ(count_children(tree).active, 1U);
    exit(tree, Reason::shutdown);
    next<Exit>();
  });
}

TEST(IgnoredStart, OfARestartLeavesTheChildOut) {
  in_trapping_actor([] {
    set_crash_logger([](const CrashReport&) {});
    bool wants = true;
    const Pid fixed =
        start_supervisor(supervisor({.children = {child<Moody>({.id = "a"}, &wants)}}));
    const Pid grown = start_supervisor(dynamic_supervisor({}));
    const Pid b = start_child(grown, child<Moody>({.id = "b"}, &wants));
    const Pid a = which_children(fixed).front().pid;
    wants = false;
    for (const Pid& pid : {a, b}) {
      const MonitorRef ref = monitor(pid);
      cast(ServerRef<Moody>(pid), Moody::Fail{});
      EXPECT_EQ(end_of(ref), ExitReason("boom"));
    }
    EXPECT_FALSE(which_children(fixed).front().pid);
    EXPECT_EQ(count_children(fixed).specs, 1U);
    EXPECT_EQ(count_children(grown).specs, 0U);
    EXPECT_FALSE(start_child(grown, child<Moody>({.id = "b"}, &wants)));
    EXPECT_EQ(count_children(grown).specs, 0U);
    for (const Pid& tree : {fixed, grown}) {
      EXPECT_TRUE(is_alive(tree));
      exit(tree, Reason::shutdown);
      next<Exit>();
    }
    set_crash_logger({});
  });
}

}  // namespace
}  // namespace greenroom
