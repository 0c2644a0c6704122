// A supervisor, a child, or the owner of the tree dies at any point of start, restart and stop.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/tests/sweep/sweep.h"

namespace greenroom::sweep {
namespace {

using namespace std::chrono_literals;

struct Stop {};

struct Worker {
  Worker() { yield(); }
  int handle(int n) { return n; }
  void terminate(const ExitReason&) { sleep(1ms); }
};

void nap_for_ever() {
  trap_exits();
  receive([](const Exit&) {});
  sleep(1ms);
}

// An actor that starts the tree and ends it by its own end.
Monitored start_owner(const ChildSpec& tree) {
  return spawn_monitor(anywhere(), [tree] {
    start_supervisor(tree);
    receive([](Stop) {});
  });
}

bool is_tree_alive() { return whereis("tree").has_value(); }

bool are_workers_up(const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (!try_call(ServerName<Worker>(name), 1)) return false;
  return true;
}

// There is one kill in a run; what it has broken is repaired after a while, or the tree is gone.
void expect_soon(const std::function<bool()>& condition, const char* what) {
  for (int round = 0; round < 4; ++round) {
    if (!is_tree_alive() || condition()) return;
    sleep(1s);
  }
  ADD_FAILURE() << what;
}

void expect_names_free(const std::vector<std::string>& names) {
  for (const std::string& name : names) EXPECT_EQ(whereis(name), std::nullopt) << name;
  EXPECT_FALSE(is_tree_alive());
}

template <class F>
void ask(F question) {
  try {
    question();
  } catch (const CallError&) {
  } catch (const ChildError&) {
  } catch (const NoSuchName&) {
  }
}

void end_tree(const Monitored& owner, const std::vector<std::string>& names) {
  send(owner.pid, Stop{});
  join({owner});
  sleep(10s);
  expect_names_free(names);
}

class TreeSweep : public testing::TestWithParam<Strategy> {};

TEST_P(TreeSweep, PermanentChildrenComeBackAndAllEndWithTheTree) {
  sweep(2, {1, 2}, [strategy = GetParam()] {
    const std::vector<std::string> names{"a", "b"};
    const Monitored owner = start_owner(
        supervisor({.id = "tree",
                    .strategy = strategy,
                    .intensity = 10,
                    .children = {child<Worker>({.id = "a"}), child({.id = "nap"}, nap_for_ever),
                                 child<Worker>({.id = "b"})}}));
    sleep(1s);
    const auto all_up = [&] {
      std::size_t active = 0;
      ask([&] { active = count_children("tree").active; });
      return active == 3 && are_workers_up(names);
    };
    expect_soon(all_up, "not all children run");
    if (const auto pid = whereis("a")) exit(*pid, Reason::kill);
    sleep(1s);
    expect_soon(all_up, "not all children run again");
    end_tree(owner, names);
  });
}

std::string name_of(const testing::TestParamInfo<Strategy>& strategy) {
  const char* const names[] = {"OneForOne", "OneForAll", "RestForOne"};
  return names[static_cast<std::size_t>(strategy.param)];
}

INSTANTIATE_TEST_SUITE_P(All, TreeSweep,
                         testing::Values(Strategy::one_for_one, Strategy::one_for_all,
                                         Strategy::rest_for_one),
                         name_of);

TEST(SupervisorSweep, AChildThatIsTerminatedStaysDownUntilItIsRestarted) {
  sweep(3, {1, 2}, [] {
    const std::vector<std::string> names{"a", "b"};
    const Monitored owner = start_owner(
        supervisor({.id = "tree",
                    .intensity = 10,
                    .children = {child<Worker>({.id = "a"}), child<Worker>({.id = "b"})}}));
    sleep(1s);
    bool is_down = false;
    ask([&] {
      terminate_child("tree", "b");
      is_down = true;
    });
    sleep(1s);
    EXPECT_FALSE(is_down && whereis("b"));
    for (int i = 0; i < 3; ++i) {
      ask([&] { restart_child("tree", "b"); });
      sleep(1s);
    }
    expect_soon([&] { return are_workers_up(names); }, "not all children run");
    end_tree(owner, names);
  });
}

TEST(SupervisorSweep, ChildrenOfADynamicSupervisorEndWithIt) {
  sweep(3, {1, 2}, [] {
    const std::vector<std::string> names{"x", "y"};
    const Monitored owner = start_owner(dynamic_supervisor({.id = "tree", .intensity = 10}));
    sleep(1s);
    for (const std::string& name : names)
      ask([&] { start_child<Worker>("tree", ChildOptions{.id = name}); });
    sleep(1s);
    // One whose start was killed is not there, and nothing but that.
    std::size_t started = 0;
    ask([&] { started = count_children("tree").active; });
    EXPECT_TRUE(started > 0 || !is_tree_alive());
    end_tree(owner, names);
  });
}

TEST(SupervisorSweep, TreesNest) {
  sweep(2, {1, 2}, [] {
    const std::vector<std::string> names{"a", "b", "inner"};
    const Monitored owner = start_owner(supervisor(
        {.id = "tree",
         .intensity = 10,
         .children = {child<Worker>({.id = "a"}),
                      supervisor({.id = "inner", .children = {child<Worker>({.id = "b"})}})}}));
    sleep(1s);
    expect_soon([] { return are_workers_up({"a", "b"}); }, "not all children run");
    end_tree(owner, names);
  });
}

}  // namespace
}  // namespace greenroom::sweep
