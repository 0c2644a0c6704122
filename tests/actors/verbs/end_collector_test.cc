// The ends of many actors, waited for in one walk through the mailbox.

#include "greenroom/actors/verbs/end_collector.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "greenroom/testkit/testkit.h"
#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;
using detail::EndCollector;
using Takes = EndCollector::Takes;
using Walk = EndCollector::Walk;

struct End {
  ExitReason reason;
};
struct Unrelated {
  int number;
};

void wait_for_end() {
  receive([](const End& end) { stop(end.reason); });
}

constexpr std::chrono::nanoseconds poll(0);

TEST(EndCollector, TakesEndsInWhateverOrderTheyCome) {
  in_actor([] {
    EndCollector ends(Takes::downs);
    std::vector<Pid> pids;
    for (int i = 0; i < 3; ++i) {
      const Monitored actor = spawn_monitor(wait_for_end);
      EXPECT_EQ(ends.add(actor.pid, actor.ref), pids.size());
      pids.push_back(actor.pid);
    }
    EXPECT_FALSE(ends.wait_for_all(poll, Walk::from_the_front));
    yield();
    send(pids[2], End{ExitReason("two")});
    send(pids[0], End{ExitReason("zero")});
    EXPECT_TRUE(ends.wait_for(0, patience, Walk::go_on));
    EXPECT_TRUE(ends.has_ended(2));
    EXPECT_FALSE(ends.has_ended(1));
    EXPECT_FALSE(ends.wait_for(1, 1ms, Walk::go_on));
    send(pids[1], End{ExitReason("one")});
    EXPECT_TRUE(ends.wait_for_all(patience, Walk::go_on));
    EXPECT_EQ(ends.reason(0), ExitReason("zero"));
    EXPECT_EQ(ends.reason(1), ExitReason("one"));
    EXPECT_EQ(ends.reason(2), ExitReason("two"));
    EXPECT_TRUE(has_no_mail());
  });
}

TEST(EndCollector, LeavesOtherMailInItsOrder) {
  in_actor([] {
    trap_exits();
    const Monitored other = spawn_monitor(wait_for_end);
    const Monitored awaited = spawn_monitor([] {
      link(receive([](Pid peer) { return peer; }));
      wait_for_end();
    });
    send(awaited.pid, self());
    EndCollector ends(Takes::downs);
    ends.add(awaited.pid, awaited.ref);
    send(self(), Unrelated{1});
    send(self(), Down{awaited.ref, awaited.pid, ExitReason("forged")});
    send(other.pid, End{ExitReason("other")});
    yield();
    send(awaited.pid, End{ExitReason("awaited")});
    EXPECT_TRUE(ends.wait_for_all(patience, Walk::from_the_front));
    EXPECT_EQ(ends.reason(0), ExitReason("awaited"));
    send(self(), Unrelated{2});
    EXPECT_EQ(next<Unrelated>().number, 1);
    EXPECT_EQ(next<Down>().reason, ExitReason("forged"));
    EXPECT_EQ(next<Down>().ref, other.ref);
    EXPECT_EQ(next<Exit>().from, awaited.pid);
    EXPECT_EQ(next<Unrelated>().number, 2);
    EXPECT_TRUE(has_no_mail());
  });
}

// The monitor came too late to know the reason.
TEST(EndCollector, TakesAnExitWithItsDownAndTheReasonFromIt) {
  in_actor([] {
    trap_exits();
    const Pid pid = spawn_link([] { stop(ExitReason("boom")); });
    yield();
    EndCollector ends(Takes::downs_and_exits);
    ends.add(pid, monitor(pid));
    EXPECT_TRUE(ends.wait_for_all(patience, Walk::from_the_front));
    EXPECT_EQ(ends.reason(0), ExitReason("boom"));
    EXPECT_TRUE(has_no_mail());
  });
}

TEST(EndCollector, WaitsNoMoreForWhomItHasGivenUp) {
  in_actor([] {
    EndCollector ends(Takes::downs);
    const Monitored actor = spawn_monitor(wait_for_end);
    ends.add(actor.pid, actor.ref);
    ends.give_up(0, ExitReason("lost"));
    EXPECT_TRUE(ends.wait_for_all(Wait::forever(), Walk::from_the_front));
    EXPECT_EQ(ends.reason(0), ExitReason("lost"));
    send(actor.pid, End{ExitReason("late")});
    EXPECT_EQ(end_of(actor), ExitReason("late"));
  });
}

TEST(EndCollector, KeepsWhatItHasTakenWhenItIsInterrupted) {
  in_actor([] {
    EndCollector ends(Takes::downs);
    const Monitored first = spawn_monitor([] { stop(ExitReason("first")); });
    const Monitored second = spawn_monitor(wait_for_end);
    ends.add(first.pid, first.ref);
    ends.add(second.pid, second.ref);
    EXPECT_FALSE(try_for(5ms, [&] { ends.wait_for_all(Wait::forever(), Walk::from_the_front); }));
    EXPECT_TRUE(ends.has_ended(0));
    send(second.pid, End{ExitReason("second")});
    EXPECT_TRUE(ends.wait_for_all(patience, Walk::from_the_front));
    EXPECT_EQ(ends.reason(0), ExitReason("first"));
  });
}

// Of these two only the test's time limit tells: with a walk for each actor they would take
// minutes.
constexpr int many_messages = 1'000'000;
constexpr int many_actors = 50'000;

struct Idler {};

void flood(Pid pid) {
  for (int i = 0; i < testkit::scale(many_messages); ++i) send(pid, Unrelated{i});
}

TEST(EndCollector, OfTasksWalksOnceThroughMailThatIsNotTheirs) {
  in_actor([] {
    flood(self());
    Tasks<int> tasks;
    for (int i = 0; i < testkit::scale(many_actors); ++i) tasks.start([i] { return i; });
    const auto outcomes = tasks.collect(Wait::forever());
    EXPECT_TRUE(std::all_of(outcomes.begin(), outcomes.end(),
                            [](const Outcome<int>& outcome) { return bool(outcome); }));
  });
}

TEST(EndCollector, OfChildrenWalksOnceThroughMailThatIsNotTheirs) {
  in_actor([] {
    trap_exits();
    const Pid tree = start_supervisor(dynamic_supervisor({}));
    start_child(tree, ChildOptions{.shutdown = Shutdown::infinity()}, [tree] {
      trap_exits();
      receive([](const Exit&) {});
      flood(tree);
    });
    for (int i = 0; i < testkit::scale(many_actors); ++i) start_child<Idler>(tree, ChildOptions{});
    exit(tree, Reason::shutdown);
    EXPECT_EQ(receive([](Exit exit) { return exit.reason; }), Reason::shutdown);
  });
}

}  // namespace
}  // namespace greenroom
