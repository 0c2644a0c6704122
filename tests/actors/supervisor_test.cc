// Supervisors: rules U1-U20. What strategies and intensities are as pure functions is in
// restart_plan_test, dynamic supervisors are in dynamic_supervisor_test.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

// "a+": a has started; "a-": a was told to end.
struct Event {
  std::string text;
  Pid pid;
};

struct End {
  ExitReason reason;
};

// Whether a worker's constructor throws: shared with the test.
struct Switch {
  bool is_broken = false;
  int attempts = 0;
};

struct Worker {
  static constexpr bool trap_exits = true;
  Worker(std::string name, Pid owner, std::shared_ptr<Switch> power = nullptr)
      : id(std::move(name)), test(owner) {
    if (power) ++power->attempts;
    if (power && power->is_broken) throw std::runtime_error("broken");
    send(test, Event{id + "+", self()});
  }
  void handle(const End& end) { stop(end.reason); }
  void handle(const Exit&) {}
  void terminate(const ExitReason&) { send(test, Event{id + "-", self()}); }
  std::string id;
  Pid test;
};

ChildSpec worker(const std::string& id, Restart restart = Restart::permanent,
                 std::shared_ptr<Switch> power = nullptr) {
  return child<Worker>({.id = id, .restart = restart}, id, self(), std::move(power));
}

// So many events as text: "a+b+".
std::string events(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += next<Event>().text;
  return text;
}
Pid pid_of(const std::string& id) { return whereis(id).value_or(Pid{}); }
void crash(const std::string& id, ExitReason reason = ExitReason("boom")) {
  cast(ServerRef<Worker>(pid_of(id)), End{std::move(reason)});
}
const ChildInfo* find(const std::vector<ChildInfo>& all, const std::string& id) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const ChildInfo& info) { return info.id == id; });
  return found == all.end() ? nullptr : &*found;
}
// Ends a tree as its parent does, and waits.
void shut_down(Pid tree) {
  const MonitorRef ref = monitor(tree);
  exit(tree, Reason::shutdown);
  EXPECT_EQ(end_of(ref), Reason::shutdown);
}
// The first actor's tests trap exits: the tree is linked to it.
void in_trapping_actor(std::function<void()> body) {
  in_actor([&body] {
    trap_exits();
    body();
  });
}

// ---- start ----

TEST(SupervisorStart, StartsChildrenInOrderAndEndsThemInReverse) {  // U1, U14
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.children = {worker("a"), worker("b"), worker("c")}}));
    EXPECT_EQ(events(3), "a+b+c+");
    shut_down(tree);
    EXPECT_EQ(events(3), "c-b-a-");
  });
}

TEST(SupervisorStart, WaitsForEachChildBeforeTheNext) {  // U1
  in_trapping_actor([] {
    struct Slow {
      explicit Slow(Pid test) {
        for (int i = 0; i < 20; ++i) yield();
        send(test, Event{"slow+", self()});
      }
      void handle(int) {}
    };
    const Pid tree = start_supervisor(
        supervisor({.children = {child<Slow>({.id = "slow"}, self()), worker("b")}}));
    EXPECT_EQ(events(2), "slow+b+");
    shut_down(tree);
  });
}

TEST(SupervisorStart, ThatFailsEndsWhatHasStartedInReverseAndTellsWhich) {  // U1
  in_trapping_actor([] {
    auto power = std::make_shared<Switch>();
    power->is_broken = true;
    const ExitReason reason = reason_of<StartError>([&] {
      start_supervisor(
          supervisor({.children = {worker("a"), worker("b"), worker("c", Restart::permanent, power),
                                   worker("d")}}));
    });
    EXPECT_EQ(reason, Reason::shutdown);
    EXPECT_TRUE(reason.has_detail());
    EXPECT_NE(reason.to_string().find("'c'"), std::string::npos) << reason;
    EXPECT_NE(reason.to_string().find("broken"), std::string::npos) << reason;
    EXPECT_EQ(events(4), "a+b+b-a-");
    EXPECT_TRUE(has_no_mail());  // G3: and no exit signal
    EXPECT_EQ(power->attempts, 1);
  });
}

TEST(SupervisorStart, RegistersItsIdAndItsServersIds) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor({.id = "tree", .children = {worker("a")}}));
    EXPECT_EQ(whereis("tree"), tree);
    EXPECT_EQ(next<Event>().pid, whereis("a"));
    shut_down(tree);
    EXPECT_EQ(whereis("tree"), std::nullopt);
    EXPECT_EQ(whereis("a"), std::nullopt);
  });
}

TEST(SupervisorOptionsDefaults, AreThoseOfOtp) {  // U3
  const SupervisorOptions options;
  EXPECT_EQ(options.strategy, Strategy::one_for_one);
  EXPECT_EQ(options.intensity, 1);
  EXPECT_EQ(options.period, 5s);
  EXPECT_EQ(options.auto_shutdown, AutoShutdown::never);
  EXPECT_EQ(options.backoff.initial, 0ns);
  const ChildOptions child;
  EXPECT_EQ(child.restart, Restart::permanent);
  EXPECT_FALSE(child.significant);
  EXPECT_FALSE(child.shutdown.is_brutal());
  EXPECT_FALSE(child.shutdown.wait().is_forever());
  // U19: a supervisor's own is infinity.
  EXPECT_TRUE(supervisor({}).options.shutdown.wait().is_forever());
  EXPECT_TRUE(dynamic_supervisor({}).options.shutdown.wait().is_forever());
}

TEST(SupervisorOptionsThatMakeNoSense, AreRefusedAtOnce) {  // U3, U18
  in_actor([] {
    EXPECT_THROW(supervisor({.children = {worker("a"), worker("a")}}), std::invalid_argument);
    EXPECT_THROW(supervisor({.intensity = -1}), std::invalid_argument);
    EXPECT_THROW(supervisor({.period = 0s}), std::invalid_argument);
    EXPECT_THROW(dynamic_supervisor({.intensity = -1}), std::invalid_argument);
    const auto nothing = [] {};
    EXPECT_THROW(supervisor({.children = {child(
                                 {.restart = Restart::transient, .significant = true}, nothing)}}),
                 std::invalid_argument);
    EXPECT_THROW(supervisor({.auto_shutdown = AutoShutdown::any_significant,
                             .children = {child({.significant = true}, nothing)}}),
                 std::invalid_argument);
  });
}

// ---- a child ends ----

struct Ending {
  const char* name;
  Restart restart;
  ExitReason reason;
  bool is_restarted;
  bool is_kept;  // its specification is still there
};
std::ostream& operator<<(std::ostream& out, const Ending& ending) { return out << ending.name; }

class ChildEnd : public testing::TestWithParam<Ending> {};

TEST_P(ChildEnd, RestartsOrNotAsItsRestartTypeSays) {  // U6
  in_trapping_actor([] {
    const Ending& ending = GetParam();
    const Pid tree = start_supervisor(supervisor({.children = {worker("a", ending.restart)}}));
    const Pid before = next<Event>().pid;
    const MonitorRef ref = monitor(before);
    crash("a", ending.reason);
    EXPECT_EQ(end_of(ref), ending.reason);
    EXPECT_EQ(next<Event>().text, "a-");
    const auto all = which_children(tree);  // after the exit: it came first
    const ChildInfo* info = find(all, "a");
    EXPECT_EQ(info != nullptr, ending.is_kept);
    EXPECT_EQ(info && info->pid, ending.is_restarted);
    if (ending.is_restarted) {
      const Pid after = next<Event>().pid;
      EXPECT_NE(after, before);
      EXPECT_EQ(info->pid, after);
    }
    shut_down(tree);
  });
}

const Ending endings[] = {
    {"permanent, normal", Restart::permanent, Reason::normal, true, true},
    {"permanent, shutdown", Restart::permanent, Reason::shutdown, true, true},
    {"permanent, boom", Restart::permanent, ExitReason("boom"), true, true},
    {"transient, normal", Restart::transient, Reason::normal, false, true},
    {"transient, shutdown", Restart::transient, Reason::shutdown, false, true},
    {"transient, shutdown with detail", Restart::transient, ExitReason("shutdown", 1), false, true},
    {"transient, boom", Restart::transient, ExitReason("boom"), true, true},
    {"transient, killed", Restart::transient, Reason::killed, true, true},
    {"temporary, normal", Restart::temporary, Reason::normal, false, false},
    {"temporary, boom", Restart::temporary, ExitReason("boom"), false, false},
};
INSTANTIATE_TEST_SUITE_P(Types, ChildEnd, testing::ValuesIn(endings));

TEST(Supervisor, RestartsAKilledChild) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor({.children = {worker("a")}}));
    exit(next<Event>().pid, Reason::kill);
    EXPECT_EQ(next<Event>().text, "a+");  // no "a-": it was killed
    shut_down(tree);
  });
}

TEST(Supervisor, CopiesTheArgumentsAtEveryStart) {
  in_trapping_actor([] {
    struct Keeper {
      explicit Keeper(std::vector<int> list, Pid test) {
        send(test, list.size());
        list.clear();
      }
      void handle(int) { stop(ExitReason("boom")); }
    };
    const Pid tree = start_supervisor(supervisor(
        {.children = {child<Keeper>({.id = "keeper"}, std::vector<int>{1, 2, 3}, self())}}));
    EXPECT_EQ(next<std::size_t>(), 3U);
    cast(ServerName<Keeper>("keeper"), 0);
    EXPECT_EQ(next<std::size_t>(), 3U);
    shut_down(tree);
  });
}

TEST(Supervisor, RunsFunctionsAsChildren) {
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.children = {child(
                                         {.id = "f"},
                                         [](Pid test, const std::string& text) {
                                           send(test, Event{text, self()});
                                           receive([](const End& end) { stop(end.reason); });
                                         },
                                         self(), std::string("ran"))}}));
    const Event first = next<Event>();
    EXPECT_EQ(first.text, "ran");
    send(first.pid, End{Reason::normal});
    EXPECT_NE(next<Event>().pid, first.pid);
    shut_down(tree);
  });
}

TEST(Supervisor, IgnoresTheEndOfWhoIsNoChildAndUnknownMail) {  // U5
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor({.children = {worker("a")}}));
    const Pid before = next<Event>().pid;
    end_of(spawn_monitor([tree] {
      link(tree);
      stop(ExitReason("stranger"));
    }));
    send(tree, 1.5);
    send(tree, "text");
    EXPECT_EQ(find(which_children(tree), "a")->pid, before);
    shut_down(tree);
  });
}

// ---- intensity ----

TEST(SupervisorIntensity, OfZeroGivesUpAtTheFirstRestart) {  // U7
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

TEST(SupervisorIntensity, IsBorneAndOneMoreIsNot) {  // U7, U11
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

TEST(SupervisorIntensity, CountsTheRestartsOfAllChildrenTogether) {  // U7
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
     CountsAgainAfterThePeriod) {  // U7; the exact seam is in restart_plan_test
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

TEST(SupervisorIntensity, CountsAFailedRestartAgain) {  // U8
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

TEST(SupervisorIntensity, LetsRequestsInBetweenFailedRestarts) {  // U8
  in_trapping_actor([] {
    auto power = std::make_shared<Switch>();
    const Pid tree =
        start_supervisor(supervisor({.intensity = 1'000'000,
                                     .period = 1h,
                                     .children = {worker("a", Restart::permanent, power)}}));
    events(1);
    power->is_broken = true;
    crash("a");
    wait_until([&] { return power->attempts > 2; });
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

TEST(SupervisorIntensity, ComesBackWhenAFailedRestartWorks) {  // U8
  in_trapping_actor([] {
    auto power = std::make_shared<Switch>();
    const Pid tree =
        start_supervisor(supervisor({.intensity = 1'000'000,
                                     .period = 1h,
                                     .children = {worker("a", Restart::permanent, power)}}));
    events(1);
    power->is_broken = true;
    crash("a");
    wait_until([&] { return power->attempts > 5; });
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

// ---- strategies ----

TEST(SupervisorStrategy, OneForOneRestartsOnlyThatChild) {  // U9
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

TEST(SupervisorStrategy, RestForOneRestartsThatAndTheLaterOnes) {  // U9
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

TEST(SupervisorStrategy, OneForAllRestartsAll) {  // U9
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor(
        {.strategy = Strategy::one_for_all, .children = {worker("a"), worker("b"), worker("c")}}));
    events(3);
    crash("b");
    EXPECT_EQ(events(6), "b-c-a-a+b+c+");
    shut_down(tree);
  });
}

TEST(SupervisorStrategy, RestForOneTriesAgainFromTheChildThatDidNotStart) {  // U9
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

TEST(SupervisorStrategy, OneForAllTriesAgainWithTheWholeGroup) {  // U9
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

TEST(SupervisorStrategy, TemporarySiblingsOfAGroupRestartAreGone) {  // U10
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

TEST(SupervisorStrategy, ATemporaryChildsEndRestartsNobody) {  // U6, U9
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

// ---- nested trees ----

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

TEST(SupervisorTree, RestartsAPermanentSupervisorThatGaveUp) {  // U11
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

TEST(SupervisorTree, DoesNotRestartATransientSupervisorThatGaveUp) {  // U11: shutdown is benign
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

TEST(SupervisorTree, MultipliesTheIntensitiesOfItsLevels) {  // U20
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

TEST(SupervisorTree, EndsWithItsParentForItsReason) {  // U16
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

// ---- shutdown of a child ----

// Ends by nothing but a kill.
ChildSpec deaf(const std::string& id, Shutdown shutdown) {
  return child({.id = id, .shutdown = shutdown}, [test = self(), id] {
    trap_exits();
    send(test, Event{id + "+", self()});
    for (;;) receive([test, id](const Exit&) { send(test, Event{id + "?", self()}); });
  });
}

TEST(SupervisorShutdown, KillsAChildThatDoesNotEndInTime) {  // U12
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

TEST(SupervisorShutdown, OfBrutalKillDoesNotTellFirst) {  // U12
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.children = {deaf("d", Shutdown::brutal_kill())}}));
    const MonitorRef ref = monitor(next<Event>().pid);
    shut_down(tree);
    EXPECT_EQ(end_of(ref), Reason::killed);
    EXPECT_TRUE(receive([](const Event&) { return false; }, after(0s, [] { return true; })));
  });
}

TEST(SupervisorShutdown, OfInfinityWaits) {  // U12
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

TEST(SupervisorShutdown, EndsAChildThatHasUnlinkedItself) {  // U12
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
  return testing::internal::GetCapturedStderr();
}

TEST(SupervisorShutdown, ReportsAChildThatHadToBeKilledAndNotABrutalKill) {  // U13
  in_trapping_actor([] {
    Pid tree = start_supervisor(supervisor({.children = {deaf("late", Shutdown::after(1ms))}}));
    events(1);
    EXPECT_NE(log_of([&] { shut_down(tree); }).find("'late'"), std::string::npos);
    tree = start_supervisor(supervisor({.children = {deaf("brutal", Shutdown::brutal_kill())}}));
    EXPECT_EQ(log_of([&] { shut_down(tree); }).find("brutal"), std::string::npos);
  });
}

// ---- requests ----

TEST(SupervisorRequests, StartAChildAtTheEnd) {  // U17
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor({.id = "tree", .children = {worker("a")}}));
    const Pid b = start_child("tree", worker("b"));
    EXPECT_EQ(pid_of("b"), b);
    const Pid c = start_child(Supervisor(tree), ChildOptions{.id = "c"}, [] { sleep(1h); });
    EXPECT_TRUE(is_alive(c));
    start_child<Worker>(tree, ChildOptions{.id = "d"}, std::string("d"), self());
    EXPECT_EQ(events(3), "a+b+d+");
    shut_down(tree);
    EXPECT_EQ(events(3), "d-b-a-");
  });
}

TEST(SupervisorRequests, RefuseASecondChildOfTheSameId) {  // U17
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.children = {worker("a"), worker("b", Restart::transient)}}));
    events(2);
    const ExitReason running = reason_of<ChildError>([&] { start_child(tree, worker("a")); });
    EXPECT_EQ(running, ExitReason("already_started"));
    ASSERT_TRUE(running.detail<Pid>());
    EXPECT_EQ(*running.detail<Pid>(), pid_of("a"));
    crash("b", Reason::normal);
    events(1);
    EXPECT_EQ(reason_of<ChildError>([&] { start_child(tree, worker("b")); }),
              ExitReason("already_present"));
    shut_down(tree);
  });
}

TEST(SupervisorRequests, StartThatFailsTellsWhyAndLeavesNothing) {  // U17
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor({}));
    auto power = std::make_shared<Switch>();
    power->is_broken = true;
    const ExitReason reason =
        reason_of<ChildError>([&] { start_child(tree, worker("a", Restart::permanent, power)); });
    EXPECT_NE(reason.to_string().find("broken"), std::string::npos);
    EXPECT_TRUE(which_children(tree).empty());
    EXPECT_TRUE(is_alive(tree));
    shut_down(tree);
  });
}

TEST(SupervisorRequests, TerminateKeepsTheSpecificationAndRestartStartsIt) {  // U17
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.intensity = 0, .children = {worker("a"), worker("b")}}));
    events(2);
    terminate_child(tree, "a");
    EXPECT_EQ(events(1), "a-");
    EXPECT_FALSE(find(which_children(tree), "a")->pid);
    terminate_child(tree, "a");  // once more is fine
    const Pid restarted = restart_child(tree, "a");
    EXPECT_EQ(restarted, pid_of("a"));
    EXPECT_EQ(events(1), "a+");
    EXPECT_EQ(reason_of<ChildError>([&] { restart_child(tree, "a"); }), ExitReason("running"));
    terminate_child(tree, pid_of("b"));  // by pid
    EXPECT_EQ(events(1), "b-");
    EXPECT_TRUE(is_alive(tree));  // none of it counts as a restart
    shut_down(tree);
  });
}

TEST(SupervisorRequests, DeleteTakesAwayWhatDoesNotRun) {  // U17
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor({.children = {worker("a"), worker("b")}}));
    events(2);
    EXPECT_EQ(reason_of<ChildError>([&] { delete_child(tree, "a"); }), ExitReason("running"));
    terminate_child(tree, "a");
    delete_child(tree, "a");
    EXPECT_EQ(find(which_children(tree), "a"), nullptr);
    for (auto request :
         {+[](Pid pid) { delete_child(pid, "a"); }, +[](Pid pid) { terminate_child(pid, "a"); },
          +[](Pid pid) { static_cast<void>(restart_child(pid, "a")); }}) {
      EXPECT_EQ(reason_of<ChildError>([&] { request(tree); }), ExitReason("not_found"));
    }
    start_child(tree, worker("a"));  // its id is free again
    shut_down(tree);
  });
}

TEST(SupervisorRequests, TerminateOfATemporaryChildDeletesIt) {  // U17
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor({.children = {worker("a", Restart::temporary)}}));
    terminate_child(tree, "a");
    EXPECT_TRUE(which_children(tree).empty());
    shut_down(tree);
  });
}

TEST(SupervisorRequests, ToNobodyAreErrors) {
  in_actor([] {
    EXPECT_THROW(which_children("nobody"), NoSuchName);
    EXPECT_THROW(which_children(spawn([] {})), CallError);
  });
}

TEST(SupervisorRequests, OfAChildInItsConstructorAreADeadlockThatIsTold) {  // U17
  in_trapping_actor([] {
    struct Curious {
      Curious() { which_children("tree"); }
      void handle(int) {}
    };
    const ExitReason reason = reason_of<StartError>([] {
      start_supervisor(supervisor({.id = "tree", .children = {child<Curious>({.id = "curious"})}}));
    });
    EXPECT_NE(reason.to_string().find("deadlock"), std::string::npos) << reason;
  });
}

// ---- auto shutdown ----

ChildSpec significant(const std::string& id, Restart restart = Restart::temporary) {
  return child<Worker>({.id = id, .restart = restart, .significant = true}, id, self());
}

TEST(SupervisorAutoShutdown, AnySignificantEndsItWithTheFirst) {  // U18
  in_trapping_actor([] {
    const Pid tree = start_supervisor(
        supervisor({.auto_shutdown = AutoShutdown::any_significant,
                    .children = {significant("a"), worker("b"), significant("c")}}));
    events(3);
    crash("c", Reason::normal);
    const Exit told = next<Exit>();
    EXPECT_EQ(told.from, tree);
    EXPECT_EQ(told.reason, Reason::shutdown);
    EXPECT_EQ(events(3), "c-b-a-");
  });
}

TEST(SupervisorAutoShutdown, AllSignificantEndsItWithTheLast) {  // U18
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor(
        {.auto_shutdown = AutoShutdown::all_significant,
         .children = {significant("a"), worker("b"), significant("c", Restart::transient)}}));
    events(3);
    crash("c", Reason::normal);
    events(1);
    EXPECT_EQ(count_children(tree).active, 2U);
    crash("a");
    EXPECT_EQ(next<Exit>().from, tree);
    EXPECT_EQ(events(2), "a-b-");
  });
}

TEST(SupervisorAutoShutdown, IsNotTriggeredByARestartARequestOrOneThatIsNotSignificant) {  // U18
  in_trapping_actor([] {
    const Pid tree = start_supervisor(
        supervisor({.auto_shutdown = AutoShutdown::any_significant,
                    .children = {significant("a", Restart::transient), significant("b"),
                                 worker("c", Restart::temporary)}}));
    events(3);
    crash("a");  // abnormal: it is restarted
    EXPECT_EQ(events(2), "a-a+");
    terminate_child(tree, "b");
    crash("c");
    EXPECT_EQ(events(2), "b-c-");
    EXPECT_EQ(count_children(tree).active, 1U);
    EXPECT_TRUE(is_alive(tree));
    shut_down(tree);
  });
}

}  // namespace
}  // namespace greenroom
