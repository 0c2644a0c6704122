// Supervisors: starting, what becomes of a child that ends, requests. More of them
// are in supervisor_restart_test, supervisor_tree_test and supervisor_auto_shutdown_test, pure
// functions in restart_plan_test, dynamic supervisors in dynamic_supervisor_test.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <ostream>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/tests/actors/worker.h"

namespace greenroom {
namespace {

using namespace probe;

// Start.

TEST(SupervisorStart, StartsChildrenInOrderAndEndsThemInReverse) {
  in_trapping_actor([] {
    const Pid tree =
        start_supervisor(supervisor({.children = {worker("a"), worker("b"), worker("c")}}));
    EXPECT_EQ(events(3), "a+b+c+");
    shut_down(tree);
    EXPECT_EQ(events(3), "c-b-a-");
  });
}

TEST(SupervisorStart, WaitsForEachChildBeforeTheNext) {
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

TEST(SupervisorStart, ThatFailsEndsWhatHasStartedInReverseAndTellsWhich) {
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
    EXPECT_TRUE(has_no_mail());  // no exit signal either
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

struct Never {};

TEST(SupervisorStart, GivesChildrenTheirMailboxLimits) {
  in_trapping_actor([] {
    const MailboxLimit limit{.messages = 2, .overflow = Overflow::drop_newest};
    const auto waits = [] { receive([](Never) {}); };
    const Pid tree = start_supervisor(
        supervisor({.children = {child({.id = "limited", .mailbox = limit}, waits)}}));
    const Pid limited = which_children(tree).at(0).pid;
    for (int i = 0; i < 5; ++i) send(limited, i);
    EXPECT_EQ(process_info(limited).mailbox_size, 2U);
    EXPECT_EQ(process_info(limited).dead_letters, 3U);
    shut_down(tree);
  });
}

TEST(SupervisorStart, MakesUpIdsThatNoOtherChildHas) {
  in_trapping_actor([] {
    const auto idle = [] { receive([](Never) {}); };
    const Pid tree =
        start_supervisor(supervisor({.children = {child({}, idle), child({.id = "child_2"}, idle),
                                                  child({}, idle), child({}, idle)}}));
    std::set<std::string> ids;
    for (const ChildInfo& info : which_children(tree)) ids.insert(info.id);
    EXPECT_EQ(ids, (std::set<std::string>{"child_1", "child_2", "child_3", "child_4"}));
    shut_down(tree);
  });
}

TEST(SupervisorOptionsDefaults, AreThoseOfOtp) {
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
  // A supervisor's own is infinity.
  EXPECT_TRUE(supervisor({}).options.shutdown.wait().is_forever());
  EXPECT_TRUE(dynamic_supervisor({}).options.shutdown.wait().is_forever());
}

TEST(Shutdown, ByABrutalKillWaitsNoTime) {
  EXPECT_TRUE(Shutdown::brutal_kill().wait().is_poll());
  EXPECT_EQ(Shutdown::after(2s).wait().duration(), std::chrono::nanoseconds(2s).count());
  EXPECT_TRUE(Shutdown::infinity().wait().is_forever());
}

TEST(SupervisorOptionsThatMakeNoSense, AreRefusedAtOnce) {
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

TEST(ChildSpecWithoutAStart, IsRefusedAtOnce) {
  in_trapping_actor([] {
    EXPECT_THROW(supervisor({.children = {ChildSpec{}}}), std::invalid_argument);
    EXPECT_THROW(start_supervisor(ChildSpec{}), std::invalid_argument);
    const Pid tree = start_supervisor(supervisor({}));
    const Pid dynamic = start_supervisor(dynamic_supervisor({}));
    for (const Pid parent : {tree, dynamic}) {
      EXPECT_EQ(reason_of<ChildError>([&] { start_child(parent, ChildSpec{}); }).tag(),
                "bad_child");
      EXPECT_TRUE(which_children(parent).empty());
      shut_down(parent);
    }
  });
}

// A child ends.

struct Ending {
  const char* name;
  Restart restart;
  ExitReason reason;
  bool is_restarted;
  bool is_kept;  // its specification is still there
};
std::ostream& operator<<(std::ostream& out, const Ending& ending) { return out << ending.name; }

class ChildEnd : public testing::TestWithParam<Ending> {};

TEST_P(ChildEnd, RestartsOrNotAsItsRestartTypeSays) {
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
    {"transient, normal with detail", Restart::transient, ExitReason("normal", 1), true, true},
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

TEST(Supervisor, IgnoresTheEndOfWhoIsNoChildAndUnknownMail) {
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

// Requests.

TEST(SupervisorRequests, StartAChildAtTheEnd) {
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

TEST(SupervisorRequests, RefuseASecondChildOfTheSameId) {
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

TEST(SupervisorRequests, StartThatFailsTellsWhyAndLeavesNothing) {
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

TEST(SupervisorRequests, TerminateKeepsTheSpecificationAndRestartStartsIt) {
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

TEST(SupervisorRequests, DeleteTakesAwayWhatDoesNotRun) {
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

TEST(SupervisorRequests, TerminateOfATemporaryChildDeletesIt) {
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

TEST(SupervisorRequests, OfAChildInItsConstructorAreADeadlockThatIsTold) {
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

}  // namespace
}  // namespace greenroom
