// Supervisors whose children are started one by one: restarts and their intensity, the end,
// requests, and move-only arguments.

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

struct Started {
  Pid pid;
};
struct End {
  ExitReason reason;
};

void worker(Pid test) {
  send(test, Started{self()});
  receive([](const End& end) { stop(end.reason); });
}

Pid start_worker(Pid tree, Restart restart = Restart::permanent, std::string id = {}) {
  const Pid pid =
      start_child(tree, ChildOptions{.id = std::move(id), .restart = restart}, &worker, self());
  EXPECT_EQ(next<Started>().pid, pid);
  return pid;
}

void in_trapping_actor(std::function<void()> body) {
  in_actor([&body] {
    trap_exits();
    body();
  });
}

void shut_down(Pid tree) {
  const MonitorRef ref = monitor(tree);
  exit(tree, Reason::shutdown);
  EXPECT_EQ(end_of(ref), Reason::shutdown);
}

TEST(DynamicSupervisor, StartsAnyNumberOfChildrenEvenOfOneId) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({.id = "pool"}));
    EXPECT_EQ(whereis("pool"), tree);
    std::set<Pid> children;
    for (int i = 0; i < 100; ++i) children.insert(start_worker(tree, Restart::permanent, "same"));
    EXPECT_EQ(children.size(), 100U);
    EXPECT_EQ(count_children(tree).active, 100U);
    EXPECT_EQ(count_children(tree).workers, 100U);
    for (const ChildInfo& info : which_children(tree)) EXPECT_EQ(children.count(info.pid), 1U);
    shut_down(tree);
    for (const Pid& child : children) EXPECT_FALSE(is_alive(child));
  });
}

TEST(DynamicSupervisor, RestartsByRestartType) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({.intensity = 100}));
    send(start_worker(tree), End{Reason::normal});
    const Pid permanent = next<Started>().pid;
    send(start_worker(tree, Restart::transient), End{ExitReason("boom")});
    const Pid transient = next<Started>().pid;
    EXPECT_EQ(count_children(tree).specs, 2U);
    send(transient, End{Reason::normal});
    end_of(transient);
    send(start_worker(tree, Restart::temporary), End{ExitReason("boom")});
    wait_until([&] { return count_children(tree).specs == 1; });
    EXPECT_EQ(which_children(tree)[0].pid, permanent);
    shut_down(tree);
  });
}

TEST(DynamicSupervisor, GivesUpWhenItsIntensityIsReached) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({.intensity = 2, .period = 1h}));
    const Pid bystander = start_worker(tree);
    const MonitorRef ref = monitor(bystander);
    Pid child = start_worker(tree);
    for (int i = 0; i < 2; ++i) {
      send(child, End{ExitReason("boom")});
      child = next<Started>().pid;
    }
    send(child, End{ExitReason("boom")});
    const Exit told = next<Exit>();
    EXPECT_EQ(told.from, tree);
    EXPECT_EQ(told.reason, Reason::shutdown);
    EXPECT_EQ(end_of(ref), Reason::shutdown);
  });
}

TEST(DynamicSupervisor, RefusesMoreThanMaxChildren) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({.max_children = 2}));
    start_worker(tree, Restart::temporary);
    const Pid second = start_worker(tree, Restart::temporary);
    auto one_more = [&] { start_child(tree, ChildOptions{}, &worker, self()); };
    EXPECT_EQ(reason_of<ChildError>(one_more), ExitReason("max_children"));
    send(second, End{Reason::normal});
    wait_until([&] { return count_children(tree).active == 1; });
    start_worker(tree);  // there is room again
    shut_down(tree);
  });
}

TEST(DynamicSupervisor, MovesMoveOnlyArgumentsIntoAChildThatIsTemporary) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({.intensity = 0}));
    auto owned = std::make_shared<int>(7);
    const std::weak_ptr<int> seen = owned;
    struct Connection {
      std::shared_ptr<int> owned;
      explicit Connection(std::shared_ptr<int> value) : owned(std::move(value)) {}
      Connection(Connection&&) = default;
    };
    const Pid child = start_child(
        tree, ChildOptions{},
        [](Connection connection, Pid test) {
          send(test, Started{self()});
          receive([](const End& end) { stop(end.reason); });
          static_cast<void>(connection);
        },
        Connection(std::move(owned)), self());
    next<Started>();
    EXPECT_EQ(seen.use_count(), 1);
    send(child, End{ExitReason("boom")});
    end_of(child);
    EXPECT_TRUE(seen.expired());  // the supervisor has kept nothing
    EXPECT_EQ(count_children(tree).specs, 0U);
    EXPECT_TRUE(is_alive(tree));
    shut_down(tree);
  });
}

TEST(DynamicSupervisor, KeepsNothingOfATemporaryChildsSpecification) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({}));
    auto owned = std::make_shared<int>(7);
    const std::weak_ptr<int> seen = owned;
    start_child(
        tree, ChildOptions{.restart = Restart::temporary},
        [](const std::shared_ptr<int>&, Pid test) { send(test, Started{self()}); },
        std::move(owned), self());
    next<Started>();
    wait_until([&] { return seen.expired(); });
    shut_down(tree);
  });
}

TEST(DynamicSupervisor, TerminatesOneByPidOrById) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({.intensity = 0}));
    const Pid by_pid = start_worker(tree);
    const Pid by_id = start_worker(tree, Restart::permanent, "one");
    terminate_child(tree, by_pid);
    EXPECT_FALSE(is_alive(by_pid));
    terminate_child(tree, "one");
    EXPECT_FALSE(is_alive(by_id));
    EXPECT_EQ(count_children(tree).specs, 0U);
    EXPECT_EQ(reason_of<ChildError>([&] { terminate_child(tree, by_pid); }),
              ExitReason("not_found"));
    EXPECT_EQ(reason_of<ChildError>([&] { terminate_child(tree, "one"); }),
              ExitReason("not_found"));
    shut_down(tree);
  });
}

TEST(DynamicSupervisor, HasNeitherDeleteNorRestart) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({}));
    EXPECT_EQ(reason_of<ChildError>([&] { delete_child(tree, "x"); }), ExitReason("not_static"));
    EXPECT_EQ(reason_of<ChildError>([&] { restart_child(tree, "x"); }), ExitReason("not_static"));
    shut_down(tree);
  });
}

TEST(DynamicSupervisor, TriesAFailedRestartAgain) {
  in_trapping_actor([] {
    struct Power {
      bool is_broken = false;
      int attempts = 0;
    };
    struct Moody {
      explicit Moody(std::shared_ptr<Power> power, Pid test) {
        ++power->attempts;
        if (power->is_broken) throw std::runtime_error("broken");
        send(test, Started{self()});
      }
      void handle(const End& end) { stop(end.reason); }
    };
    auto power = std::make_shared<Power>();
    const Pid tree =
        start_supervisor(dynamic_supervisor({.max_children = 1, .intensity = 1'000'000}));
    const Pid child = start_child<Moody>(tree, ChildOptions{}, power, self());
    next<Started>();
    power->is_broken = true;
    cast(ServerRef<Moody>(child), End{ExitReason("boom")});
    wait_until([&] { return power->attempts > 3; });
    EXPECT_EQ(which_children(tree).size(), 1U);
    EXPECT_TRUE(which_children(tree)[0].is_restarting);
    // One that is to come back keeps its place.
    EXPECT_THROW(start_child(tree, ChildOptions{}, &worker, self()), ChildError);
    power->is_broken = false;
    EXPECT_NE(next<Started>().pid, child);
    shut_down(tree);
  });
}

// All are told at once: each waits for all others before it ends.
TEST(DynamicSupervisor, EndsAllChildrenAtOnce) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({}));
    auto all_told = std::make_shared<green::Event>();
    auto told = std::make_shared<int>(0);
    for (int i = 0; i < 3; ++i) {
      start_child(
          tree, ChildOptions{.shutdown = Shutdown::infinity()},
          [all_told, told](Pid test) {
            trap_exits();
            send(test, Started{self()});
            receive([](const Exit&) {});
            if (++*told == 3) all_told->set();
            all_told->wait();
            stop(Reason::shutdown);
          },
          self());
      next<Started>();
    }
    shut_down(tree);
    EXPECT_EQ(*told, 3);
  });
}

TEST(DynamicSupervisor, KillsThoseThatDoNotEndInTime) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({}));
    std::vector<MonitorRef> refs;
    for (int i = 0; i < 3; ++i) {
      refs.push_back(monitor(start_child(
          tree, ChildOptions{.shutdown = Shutdown::after(2ms)},
          [](Pid test) {
            trap_exits();
            send(test, Started{self()});
            for (;;) receive([](const Exit&) {});
          },
          self())));
      next<Started>();
    }
    shut_down(tree);
    for (const MonitorRef& ref : refs) EXPECT_EQ(end_of(ref), Reason::killed);
  });
}

TEST(DynamicSupervisor, TakesServersAndSupervisorsAsChildren) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({}));
    const Pid inner = start_child(tree, supervisor({.children = {child({}, &worker, self())}}));
    next<Started>();
    EXPECT_EQ(count_children(tree).supervisors, 1U);
    EXPECT_EQ(count_children(inner).active, 1U);
    shut_down(tree);
    EXPECT_FALSE(is_alive(inner));
  });
}

TEST(DynamicSupervisor, TerminatesAChildThatWaitsForItsNextStart) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({.intensity = 1'000'000, .period = 1h}));
    const auto attempts = std::make_shared<int>(0);
    const auto start = [&](const std::string& id) {
      *attempts = 0;
      ChildSpec spec = child({.id = id}, &worker, self());
      spec.start = [attempts, first = spec.start](const std::string& name) {
        if (++*attempts > 1) throw StartError(ExitReason("broken"));
        return first(name);
      };
      const Pid pid = start_child(tree, std::move(spec));
      next<Started>();
      send(pid, End{ExitReason("crash")});
      wait_until([&] { return *attempts > 2; });
      return pid;
    };
    start("by id");
    EXPECT_TRUE(which_children(tree).at(0).is_restarting);
    terminate_child(tree, "by id");
    EXPECT_TRUE(which_children(tree).empty());
    terminate_child(tree, start("by pid"));
    EXPECT_TRUE(which_children(tree).empty());
    shut_down(tree);
  });
}

TEST(DynamicSupervisor, StartsAChildWhoseArgumentsCanOnlyBeMovedOnce) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({}));
    const ChildSpec once = child(
        {}, [test = self()](std::unique_ptr<int> value) { send(test, *value); },
        std::make_unique<int>(5));
    EXPECT_TRUE(start_child(tree, once));
    EXPECT_EQ(next<int>(), 5);
    EXPECT_FALSE(start_child(tree, once)) << "they are gone: it is passed over";
    shut_down(tree);
  });
}

}  // namespace
}  // namespace greenroom
