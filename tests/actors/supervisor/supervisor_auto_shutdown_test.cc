// Supervisors that end with their significant children.
#include <gtest/gtest.h>

#include <string>

#include "greenroom/tests/actors/worker.h"

namespace greenroom {
namespace {

using namespace probe;

ChildSpec significant(const std::string& id, Restart restart = Restart::temporary) {
  return child<Worker>({.id = id, .restart = restart, .significant = true}, id, self());
}

TEST(SupervisorAutoShutdown, AnySignificantEndsItWithTheFirst) {
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

TEST(SupervisorAutoShutdown, AllSignificantEndsItWithTheLast) {
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

TEST(SupervisorAutoShutdown, IsNotTriggeredByARestartARequestOrOneThatIsNotSignificant) {
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

TEST(SupervisorAutoShutdown, RefusesAChildThatCannotBeSignificant) {
  in_trapping_actor([] {
    const Pid never = start_supervisor(supervisor({}));
    EXPECT_EQ(reason_of<ChildError>([&] { start_child(never, significant("a")); }).tag(),
              "bad_child");
    const Pid any = start_supervisor(supervisor({.auto_shutdown = AutoShutdown::any_significant}));
    EXPECT_EQ(reason_of<ChildError>([&] {
                start_child(any, significant("a", Restart::permanent));
              }).tag(),
              "bad_child");
    EXPECT_TRUE(which_children(any).empty());
    const Pid dynamic = start_supervisor(dynamic_supervisor({}));
    EXPECT_EQ(reason_of<ChildError>([&] { start_child(dynamic, significant("a")); }).tag(),
              "bad_child");
    EXPECT_TRUE(which_children(dynamic).empty());
    shut_down(never);
    shut_down(any);
    shut_down(dynamic);
  });
}

}  // namespace
}  // namespace greenroom
