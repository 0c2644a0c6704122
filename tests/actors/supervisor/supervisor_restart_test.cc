// Supervisors: how often they restart, and whom.

#include <gtest/gtest.h>

#include <memory>

#include "greenroom/tests/actors/worker.h"

namespace greenroom {
namespace {

using namespace probe;

// Intensity.

TEST(SupervisorIntensity, OfZeroGivesUpAtTheFirstRestart) {
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.intensity = 0, .children = {worker("a"), worker("b")}}));
    events(2);
    crash("a");
    const Exit told = next<Exit>();
    EXPECT_EQ(told.from, tree);
    EXPECT_EQ(told.reason, Reason::shutdown);
    EXPECT_EQ(events(2), "a-b-");  // the others are ended first
  });
}

TEST(SupervisorIntensity, IsBorneAndOneMoreIsNot) {
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.intensity = 3, .period = 1h, .children = {worker("a")}}));
    EXPECT_EQ(events(1), "a+");
    for (int i = 0; i < 3; ++i) {
      crash("a");
      EXPECT_EQ(events(2), "a-a+");
    }
    crash("a");
    const Exit told = next<Exit>();
    EXPECT_EQ(told.from, tree);
    EXPECT_EQ(told.reason, Reason::shutdown);
  });
}

TEST(SupervisorIntensity, CountsTheRestartsOfAllChildrenTogether) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(
        supervisor({.intensity = 1, .period = 1h, .children = {worker("a"), worker("b")}}));
    events(2);
    crash("a");
    EXPECT_EQ(events(2), "a-a+");
    crash("b");
    EXPECT_EQ(next<Exit>().from, tree);
  });
}

TEST(SupervisorIntensity,
     CountsAgainAfterThePeriod) {  // the exact seam is in restart_plan_test
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.intensity = 1, .period = 1ms, .children = {worker("a")}}));
    events(1);
    for (int i = 0; i < 5; ++i) {
      const auto until = clock::now() + 2ms;
      while (clock::now() <= until) yield();
      crash("a");
      EXPECT_EQ(events(2), "a-a+");
    }
    shut_down(tree);
  });
}

TEST(SupervisorIntensity, CountsAFailedRestartAgain) {
  in_trapping_actor([] {
    auto power = std::make_shared<Switch>();
    const Pid tree = start_supervisor(supervisor(
        {.intensity = 3, .period = 1h, .children = {worker("a", Restart::permanent, power)}}));
    events(1);
    power->is_broken = true;
    crash("a");
    EXPECT_EQ(next<Exit>().from, tree);
    EXPECT_EQ(power->attempts, 1 + 3);
  });
}

struct FailingTree {
  Pid tree;
  std::shared_ptr<Switch> power;
};

// A tree whose child "a" has crashed and failed to start again more than `attempts` times.
FailingTree tree_whose_restarts_fail(int attempts) {
  auto power = std::make_shared<Switch>();
  const Pid tree =
      start_supervisor(supervisor({.intensity = 1'000'000,
                                   .period = 1h,
                                   .children = {worker("a", Restart::permanent, power)}}));
  events(1);
  power->is_broken = true;
  crash("a");
  wait_until([&] { return power->attempts > attempts; });
  return {tree, power};
}

TEST(SupervisorIntensity, LetsRequestsInBetweenFailedRestarts) {
  in_trapping_actor([] {
    const FailingTree failing = tree_whose_restarts_fail(2);
    const Pid tree = failing.tree;
    const auto& power = failing.power;
    const auto all = which_children(tree);
    EXPECT_TRUE(find(all, "a")->is_restarting);
    EXPECT_FALSE(find(all, "a")->pid);
    EXPECT_EQ(reason_of<ChildError>([&] { delete_child(tree, "a"); }), ExitReason("restarting"));
    EXPECT_EQ(reason_of<ChildError>([&] { restart_child(tree, "a"); }), ExitReason("restarting"));
    terminate_child(tree, "a");  // ends the attempts
    const int attempts = power->attempts;
    for (int i = 0; i < 20; ++i) yield();
    EXPECT_EQ(power->attempts, attempts);
    power->is_broken = false;
    EXPECT_TRUE(restart_child(tree, "a"));
    shut_down(tree);
  });
}

TEST(SupervisorIntensity, ComesBackWhenAFailedRestartWorks) {
  in_trapping_actor([] {
    const FailingTree failing = tree_whose_restarts_fail(5);
    const Pid tree = failing.tree;
    const auto& power = failing.power;
    power->is_broken = false;
    EXPECT_EQ(events(2), "a-a+");
    shut_down(tree);
  });
}

TEST(SupervisorIntensity, BacksOffIfAskedTo) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor(
        {.intensity = 10, .period = 1h, .backoff = {.initial = 1h}, .children = {worker("a")}}));
    events(1);
    crash("a");
    EXPECT_EQ(events(2), "a-a+");  // the first is at once
    crash("a");
    EXPECT_EQ(events(1), "a-");
    EXPECT_TRUE(find(which_children(tree), "a")->is_restarting);
    shut_down(tree);  // does not wait for it
    EXPECT_TRUE(receive([](const Event&) { return false; }, after(0s, [] { return true; })));
  });
}

// Strategies.

TEST(SupervisorStrategy, OneForOneRestartsOnlyThatChild) {
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.children = {worker("a"), worker("b"), worker("c")}}));
    events(3);
    crash("b");
    EXPECT_EQ(events(2), "b-b+");
    EXPECT_TRUE(count_children(tree).active == 3);
    EXPECT_TRUE(receive([](const Event&) { return false; }, after(0s, [] { return true; })));
    shut_down(tree);
  });
}

TEST(SupervisorStrategy, RestForOneRestartsThatAndTheLaterOnes) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(
        supervisor({.strategy = Strategy::rest_for_one,
                    .children = {worker("a"), worker("b"), worker("c"), worker("d")}}));
    events(4);
    const Pid a = pid_of("a");
    crash("b");
    EXPECT_EQ(events(6), "b-d-c-b+c+d+");
    EXPECT_EQ(pid_of("a"), a);
    shut_down(tree);
  });
}

TEST(SupervisorStrategy, OneForAllRestartsAll) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor(
        {.strategy = Strategy::one_for_all, .children = {worker("a"), worker("b"), worker("c")}}));
    events(3);
    crash("b");
    EXPECT_EQ(events(6), "b-c-a-a+b+c+");
    shut_down(tree);
  });
}

TEST(SupervisorStrategy, RestForOneTriesAgainFromTheChildThatDidNotStart) {
  in_trapping_actor([] {
    auto power = std::make_shared<Switch>();
    const Pid tree = start_supervisor(
        supervisor({.strategy = Strategy::rest_for_one,
                    .intensity = 1'000'000,
                    .period = 1h,
                    .children = {worker("a"), worker("b"), worker("c", Restart::permanent, power),
                                 worker("d")}}));
    events(4);
    power->is_broken = true;
    crash("b");
    EXPECT_EQ(events(4), "b-d-c-b+");
    wait_until([&] { return power->attempts > 3; });
    power->is_broken = false;
    EXPECT_EQ(events(2), "c+d+");  // b, before it, stays up
    shut_down(tree);
  });
}

TEST(SupervisorStrategy, OneForAllTriesAgainWithTheWholeGroup) {
  in_trapping_actor([] {
    auto power = std::make_shared<Switch>();
    const Pid tree = start_supervisor(supervisor(
        {.strategy = Strategy::one_for_all,
         .intensity = 3,
         .period = 1h,
         .children = {worker("a"), worker("b", Restart::permanent, power), worker("c")}}));
    events(3);
    power->is_broken = true;
    crash("a");
    EXPECT_EQ(events(3), "a-c-b-");
    // Three attempts, each with a first; then it gives up, and a is ended.
    EXPECT_EQ(events(6), "a+a-a+a-a+a-");
    EXPECT_EQ(next<Exit>().from, tree);
    EXPECT_EQ(power->attempts, 1 + 3);
  });
}

TEST(SupervisorStrategy, AChildThatDoesNotStartCanBeEndedAndItsSiblingsStart) {
  in_trapping_actor([] {
    auto power = std::make_shared<Switch>();
    const Pid tree = start_supervisor(
        supervisor({.strategy = Strategy::one_for_all,
                    .intensity = 1'000'000,
                    .period = 1h,
                    .children = {worker("a", Restart::permanent, power), worker("b")}}));
    events(2);
    power->is_broken = true;
    crash("b");
    EXPECT_EQ(events(2), "b-a-");
    wait_until([&] { return power->attempts > 3; });
    terminate_child(tree, "a");
    const int attempts = power->attempts;
    EXPECT_EQ(events(1), "b+");
    EXPECT_EQ(power->attempts, attempts);
    shut_down(tree);
  });
}

TEST(SupervisorStrategy, AllOfAGroupAreRestartingDuringItsBackoff) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor({.strategy = Strategy::one_for_all,
                                                  .intensity = 10,
                                                  .period = 1h,
                                                  .backoff = {.initial = 1h},
                                                  .children = {worker("a"), worker("b")}}));
    events(2);
    crash("a");
    EXPECT_EQ(events(4), "a-b-a+b+");
    crash("a");
    EXPECT_EQ(events(2), "a-b-");
    for (const ChildInfo& child : which_children(tree)) {
      EXPECT_TRUE(child.is_restarting);
      EXPECT_FALSE(child.pid);
      const std::string& id = child.id;
      const ExitReason restarting("restarting");
      EXPECT_EQ(reason_of<ChildError>([&] { delete_child(tree, id); }), restarting);
      EXPECT_EQ(reason_of<ChildError>([&] { restart_child(tree, id); }), restarting);
      EXPECT_EQ(reason_of<ChildError>([&] { start_child(tree, worker(id)); }),
                ExitReason("already_present"));
    }
    EXPECT_EQ(count_children(tree).active, 0U);
    shut_down(tree);  // does not wait for it
    EXPECT_TRUE(receive([](const Event&) { return false; }, after(0s, [] { return true; })));
  });
}

TEST(SupervisorStrategy, TemporarySiblingsOfAGroupRestartAreGone) {
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.strategy = Strategy::one_for_all,
                                     .children = {worker("a"), worker("b", Restart::temporary),
                                                  worker("c", Restart::transient)}}));
    events(3);
    crash("a");
    EXPECT_EQ(events(5), "a-c-b-a+c+");
    EXPECT_EQ(find(which_children(tree), "b"), nullptr);
    EXPECT_EQ(count_children(tree).specs, 2U);
    shut_down(tree);
  });
}

TEST(SupervisorStrategy, ATemporaryChildsEndRestartsNobody) {
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.strategy = Strategy::one_for_all,
                                     .children = {worker("a"), worker("b", Restart::temporary)}}));
    events(2);
    crash("b");
    EXPECT_EQ(events(1), "b-");
    EXPECT_EQ(count_children(tree).active, 1U);
    shut_down(tree);
  });
}

}  // namespace
}  // namespace greenroom
