// Supervisors under supervisors, and how children are ended.

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "greenroom/testkit/testkit.h"
#include "greenroom/tests/actors/worker.h"

namespace greenroom {
namespace {

using namespace probe;

// Nested trees.

ChildSpec with_restart(ChildSpec spec, Restart restart) {
  spec.options.restart = restart;
  return spec;
}

TEST(SupervisorTree, NestsAndEndsFromTheLeavesInReverse) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor(
        {.children = {worker("a"),
                      supervisor({.id = "inner", .children = {worker("b"), worker("c")}}),
                      worker("d")}}));
    EXPECT_EQ(events(4), "a+b+c+d+");
    const auto all = which_children(tree);
    EXPECT_TRUE(find(all, "inner")->is_supervisor);
    const ChildCounts counts = count_children(tree);
    EXPECT_EQ(counts.specs, 3U);
    EXPECT_EQ(counts.active, 3U);
    EXPECT_EQ(counts.supervisors, 1U);
    EXPECT_EQ(counts.workers, 2U);
    EXPECT_EQ(count_children("inner").workers, 2U);
    shut_down(tree);
    EXPECT_EQ(events(4), "d-c-b-a-");
  });
}

// Nothing of it is done level by level on one stack, of 64 KiB here.
TEST(SupervisorTree, MayBeThousandsOfLevelsDeep) {
  in_trapping_actor([] {
    ChildSpec spec = worker("leaf");
    for (int level = testkit::scale(10'000); level > 0; --level)
      spec = supervisor({.children = {spec}});
    const Pid tree = start_supervisor(spec);
    EXPECT_EQ(events(1), "leaf+");
    spec = ChildSpec();
    shut_down(tree);
    EXPECT_EQ(events(1), "leaf-");
  });
}

TEST(SupervisorTree, RestartsAPermanentSupervisorThatGaveUp) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor(
        {.children = {supervisor({.id = "inner", .intensity = 0, .children = {worker("a")}})}}));
    events(1);
    crash("a");
    EXPECT_EQ(events(2), "a-a+");
    EXPECT_TRUE(is_alive(tree));
    shut_down(tree);
  });
}

TEST(SupervisorTree, DoesNotRestartATransientSupervisorThatGaveUp) {  // shutdown is benign
  in_trapping_actor([] {
    const Pid tree = start_supervisor(
        supervisor({.children = {with_restart(
                        supervisor({.id = "inner", .intensity = 0, .children = {worker("a")}}),
                        Restart::transient)}}));
    events(1);
    const MonitorRef inner = monitor("inner");
    crash("a");
    EXPECT_EQ(end_of(inner), Reason::shutdown);
    EXPECT_FALSE(find(which_children(tree), "inner")->pid);
    shut_down(tree);
  });
}

TEST(SupervisorTree, MultipliesTheIntensitiesOfItsLevels) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor(
        {.intensity = 2,
         .period = 1h,
         .children = {supervisor(
             {.id = "inner", .intensity = 1, .period = 1h, .children = {worker("a")}})}}));
    int starts = 0;
    for (;;) {
      const bool goes_on = receive(
          [&](const Event& event) {
            if (event.text == "a+") {
              ++starts;
              crash("a");
            }
            return true;
          },
          [&](const Exit& exit) {
            EXPECT_EQ(exit.from, tree);
            return false;
          },
          after(patience, [] { return false; }));
      if (!goes_on) break;
    }
    EXPECT_EQ(starts, (1 + 1) * (2 + 1));
  });
}

TEST(SupervisorTree, KilledTakesItsChildrenAlong) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor({.children = {worker("a")}}));
    const MonitorRef ref = monitor(next<Event>().pid);
    exit(tree, Reason::kill);
    EXPECT_EQ(end_of(ref), Reason::killed);
  });
}

TEST(SupervisorTree, EndsWithItsParentForItsReason) {
  in_trapping_actor([] {
    Pid tree;
    const Monitored parent = spawn_monitor([&tree, test = self()] {
      tree = start_supervisor(
          supervisor({.children = {child<Worker>({.id = "a"}, std::string("a"), test)}}));
      receive([](const End& end) { stop(end.reason); });
    });
    events(1);
    wait_until([&] { return bool(tree); });
    const MonitorRef ref = monitor(tree);
    send(parent.pid, End{ExitReason("boom")});
    EXPECT_EQ(end_of(ref), ExitReason("boom"));
    EXPECT_EQ(events(1), "a-");
  });
}

// Shutdown of a child.

// Ends by nothing but a kill.
ChildSpec deaf(const std::string& id, Shutdown shutdown) {
  return child({.id = id, .shutdown = shutdown}, [test = self(), id] {
    trap_exits();
    send(test, Event{id + "+", self()});
    for (;;) receive([test, id](const Exit&) { send(test, Event{id + "?", self()}); });
  });
}

TEST(SupervisorShutdown, KillsAChildThatDoesNotEndInTime) {
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.children = {worker("a"), deaf("d", Shutdown::after(2ms))}}));
    events(1);
    const MonitorRef ref = monitor(next<Event>().pid);
    shut_down(tree);
    EXPECT_EQ(end_of(ref), Reason::killed);
    EXPECT_EQ(events(2), "d?a-");  // it was told first, and the next child's turn came after it
  });
}

TEST(SupervisorShutdown, OfBrutalKillDoesNotTellFirst) {
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.children = {deaf("d", Shutdown::brutal_kill())}}));
    const MonitorRef ref = monitor(next<Event>().pid);
    shut_down(tree);
    EXPECT_EQ(end_of(ref), Reason::killed);
    EXPECT_TRUE(receive([](const Event&) { return false; }, after(0s, [] { return true; })));
  });
}

TEST(SupervisorShutdown, OfInfinityWaits) {
  in_trapping_actor([] {
    struct Release {};
    const Pid tree = start_supervisor(supervisor(
        {.children = {child({.id = "slow", .shutdown = Shutdown::infinity()}, [test = self()] {
           trap_exits();
           send(test, Event{"+", self()});
           receive([](const Exit&) {});
           send(test, Event{"told", self()});
           receive([](Release) {});
           stop(Reason::shutdown);
         })}}));
    const Pid slow = next<Event>().pid;
    const MonitorRef ref = monitor(tree);
    exit(tree, Reason::shutdown);
    EXPECT_EQ(next<Event>().text, "told");
    for (int i = 0; i < 20; ++i) yield();
    EXPECT_TRUE(is_alive(slow));
    send(slow, Release{});
    EXPECT_EQ(end_of(ref), Reason::shutdown);
  });
}

TEST(SupervisorShutdown, EndsAChildThatHasUnlinkedItself) {
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.children = {child({.id = "loner"}, [test = self()] {
                                       unlink(process_info(self()).parent);
                                       send(test, Event{"+", self()});
                                       sleep(1h);
                                     })}}));
    const MonitorRef ref = monitor(next<Event>().pid);
    shut_down(tree);
    EXPECT_EQ(end_of(ref), Reason::shutdown);
  });
}

std::string log_of(std::function<void()> body) {
  testing::internal::CaptureStderr();
  body();
  detail::finish_crash_reports();
  return testing::internal::GetCapturedStderr();
}

TEST(SupervisorShutdown, ReportsAChildThatHadToBeKilledAndNotABrutalKill) {
  in_trapping_actor([] {
    Pid tree = start_supervisor(supervisor({.children = {deaf("late", Shutdown::after(1ms))}}));
    events(1);
    EXPECT_NE(log_of([&] { shut_down(tree); }).find("'late'"), std::string::npos);
    tree = start_supervisor(supervisor({.children = {deaf("brutal", Shutdown::brutal_kill())}}));
    EXPECT_EQ(log_of([&] { shut_down(tree); }).find("brutal"), std::string::npos);
  });
}

}  // namespace
}  // namespace greenroom
