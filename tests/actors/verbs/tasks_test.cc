// Tasks, Scope and Outcome: work with results.

#include "greenroom/actors/verbs/tasks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/tests/actors/probe.h"
#include "greenroom/tests/actors/stack_room.h"

namespace greenroom {
namespace {

using namespace probe;

// Outcome.

TEST(Outcome, HoldsAValueOrAReason) {
  const Outcome<int> value(5);
  EXPECT_TRUE(value);
  EXPECT_EQ(*value, 5);
  EXPECT_EQ(value.reason(), Reason::normal);
  EXPECT_EQ(value.value_or(7), 5);
  const Outcome<int> failed(Reason::timeout);
  EXPECT_FALSE(failed);
  EXPECT_EQ(failed.reason(), Reason::timeout);
  EXPECT_EQ(failed.value_or(7), 7);
}

TEST(Outcome, OfNothingIsSuccessByDefault) {
  const Outcome<void> done;
  EXPECT_TRUE(done);
  EXPECT_FALSE(Outcome<void>(Reason::killed));
}

TEST(Outcome, WithoutAValueRefusesToGiveOneAndSaysWhy) {
  Outcome<std::string> failed(Reason::timeout);
  try {
    static_cast<void>(failed->size());
    FAIL();
  } catch (const std::logic_error& error) {
    EXPECT_NE(std::string(error.what()).find("timeout"), std::string::npos);
  }
  EXPECT_THROW(static_cast<void>(*failed), std::logic_error);
}

TEST(Outcome, GivesAMoveOnlyValueAway) {
  Outcome<std::unique_ptr<int>> outcome(std::make_unique<int>(3));
  const std::unique_ptr<int> taken = *std::move(outcome);
  EXPECT_EQ(*taken, 3);
}

// Tasks.

TEST(Tasks, AreCollectedInStartOrderWhateverTheyEndedBy) {
  in_actor([] {
    Tasks<int> tasks;
    green::Event gate;
    tasks.start([&] {
      gate.wait();
      return 1;
    });
    tasks.start([](int n) { return n; }, 2);
    tasks.start([]() -> int { throw std::runtime_error("no tea"); });
    tasks.start([&]() -> int {
      gate.set();
      stop(ExitReason("boom"));
    });
    const auto outcomes = tasks.collect(patience);
    ASSERT_EQ(outcomes.size(), 4U);
    EXPECT_EQ(*outcomes[0], 1);
    EXPECT_EQ(*outcomes[1], 2);
    EXPECT_EQ(outcomes[2].reason(), Reason::error);
    EXPECT_NE(outcomes[2].reason().to_string().find("no tea"), std::string::npos);
    EXPECT_EQ(outcomes[3].reason(), ExitReason("boom"));
    EXPECT_TRUE(has_no_mail());
    EXPECT_TRUE(tasks.collect(patience).empty());
  });
}

TEST(Tasks, ThatAreLateAreKilledAndWaitedFor) {
  in_actor([] {
    int destroyed = 0;
    struct Count {
      int& count;
      ~Count() { ++count; }
    };
    Tasks<int> tasks;
    tasks.start([] { return 1; });
    for (int i = 0; i < 3; ++i) {
      tasks.start([&] {
        const Count count{destroyed};
        sleep(1h);
        return 2;
      });
    }
    const auto outcomes = tasks.collect(5ms);
    EXPECT_EQ(*outcomes[0], 1);
    for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(outcomes[i].reason(), Reason::killed);
    EXPECT_EQ(destroyed, 3);
    EXPECT_TRUE(has_no_mail());
  });
}

TEST(Tasks, ThatAreDoneCountThoughTheyAreCollectedLate) {
  in_actor([] {
    Tasks<int> tasks;
    tasks.start([]() -> int {
      sleep(1h);
      return 1;
    });
    tasks.start([] { return 2; });
    yield();
    yield();
    const auto outcomes = tasks.collect(0ms);
    EXPECT_FALSE(outcomes[0]);
    ASSERT_TRUE(outcomes[1]);
    EXPECT_EQ(*outcomes[1], 2);
  });
}

TEST(Tasks, OfNothingAndOfMoveOnlyResultsWork) {
  in_actor([] {
    Tasks<void> nothing;
    nothing.start([] {});
    nothing.start([] { stop(ExitReason("boom")); });
    const auto done = nothing.collect(patience);
    EXPECT_TRUE(done[0]);
    EXPECT_FALSE(done[1]);
    Tasks<std::unique_ptr<int>> owners;
    owners.start([](std::unique_ptr<int> n) { return n; }, std::make_unique<int>(4));
    auto owned = owners.collect(patience);
    EXPECT_EQ(**owned[0], 4);
  });
}

TEST(Tasks, ThatAreNotCollectedAreKilledAndLeaveNoMail) {
  in_actor([] {
    Pid task;
    {
      Tasks<int> tasks;
      tasks.start([&] {
        task = self();
        sleep(1h);
        return 1;
      });
      yield();
      EXPECT_TRUE(is_alive(task));
    }
    EXPECT_FALSE(is_alive(task));
    EXPECT_TRUE(has_no_mail());
  });
}

TEST(Tasks, AreKilledWhenTheirOwnerIs) {
  in_actor([] {
    Pid task;
    const Monitored owner = spawn_monitor([&] {
      Tasks<int> tasks;
      tasks.start([&] {
        task = self();
        sleep(1h);
        return 1;
      });
      tasks.collect(Wait::forever());
    });
    wait_until([&] { return bool(task); });
    const MonitorRef ref = monitor(task);
    exit(owner.pid, Reason::kill);
    EXPECT_EQ(end_of(owner), Reason::killed);
    EXPECT_EQ(end_of(ref), Reason::killed);
  });
}

// How many run at once, and in which order they began.
struct Running {
  int now = 0;
  int most = 0;
  std::vector<int> order;
};
int run_for_a_while(Running* running, int number) {
  running->order.push_back(number);
  running->most = std::max(running->most, ++running->now);
  sleep(1ms);
  --running->now;
  return number;
}

TEST(Tasks, RunAsManyAtOnceAsIsSaidInStartOrder) {
  in_actor([] {
    Running running;
    Tasks<int> tasks({.at_once = 3});
    for (int i = 0; i < 10; ++i) tasks.start(run_for_a_while, &running, i);
    const std::vector<Outcome<int>> outcomes = tasks.collect(patience);
    ASSERT_EQ(outcomes.size(), 10U);
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(*outcomes[static_cast<std::size_t>(i)], i);
      EXPECT_EQ(running.order[static_cast<std::size_t>(i)], i);
    }
    EXPECT_EQ(running.most, 3);
  });
}

TEST(Tasks, GiveTheirTurnOnWhateverTheyEndBy) {
  in_actor([] {
    Tasks<int> tasks({.at_once = 1});
    tasks.start([]() -> int { throw std::runtime_error("boom"); });
    tasks.start([]() -> int { stop(ExitReason("enough")); });
    tasks.start([] { return 3; });
    const std::vector<Outcome<int>> outcomes = tasks.collect(patience);
    EXPECT_EQ(outcomes[0].reason(), Reason::error);
    EXPECT_EQ(outcomes[1].reason(), ExitReason("enough"));
    EXPECT_EQ(outcomes[2].value_or(0), 3);
  });
}

TEST(Tasks, ThatWaitForTheirTurnAreKilledWhenItIsLate) {
  in_actor([] {
    bool has_begun = false;
    Tasks<int> tasks({.at_once = 1});
    tasks.start([] {
      next<int>();
      return 1;
    });
    tasks.start([&] {
      has_begun = true;
      return 2;
    });
    const std::vector<Outcome<int>> outcomes = tasks.collect(0ms);
    EXPECT_EQ(outcomes[0].reason(), Reason::killed);
    EXPECT_EQ(outcomes[1].reason(), Reason::killed);
    EXPECT_FALSE(has_begun);
    EXPECT_TRUE(has_no_mail());
  });
}

TEST(Tasks, GoOnWithoutTheirOwnerAndOnOtherHubs) {
  on_hubs(2, [] {
    green::Event all_done;
    std::atomic<int> done{0};
    Tasks<std::uint32_t> tasks({.at_once = 2, .place = Placement::next_hub});
    for (int i = 0; i < 8; ++i) {
      tasks.start([&] {
        if (++done == 8) all_done.set();
        return self().hub;
      });
    }
    EXPECT_TRUE(all_done.wait(patience));  // and not in collect()
    int here = 0;
    for (const Outcome<std::uint32_t>& hub : tasks.collect(patience))
      here += *hub == self().hub ? 1 : 0;
    EXPECT_EQ(here, 4);
  });
}

TEST(Tasks, HaveTheStackThatIsAskedFor) {
  in_actor([] {
    Tasks<std::size_t> tasks({.stack_size = 512 * kib});
    tasks.start(stack_room);
    EXPECT_EQ(*tasks.collect(patience)[0], 512 * kib);
  });
}

// Scope.

TEST(Scope, JoinsItsChildrenAtItsEnd) {
  in_actor([] {
    int sum = 0;
    {
      Scope scope;
      for (int i = 1; i <= 3; ++i) {
        scope.spawn([&sum, i] {
          yield();
          sum += i;
        });
      }
    }
    EXPECT_EQ(sum, 6);
  });
}

TEST(Scope, GivesResults) {
  in_actor([] {
    Scope scope;
    auto first = scope.spawn([](int n) { return n + 1; }, 1);
    auto second = scope.spawn([] { return std::string("two"); });
    scope.join();
    EXPECT_EQ(first.get(), 2);
    EXPECT_EQ(second.get(), "two");
  });
}

TEST(Scope, LeftByAnExceptionKillsAndJoinsItsChildren) {
  in_actor([] {
    bool is_destroyed = false;
    struct Flag {
      bool& flag;
      ~Flag() { flag = true; }
    };
    bool went_on = false;
    try {
      Scope scope;
      scope.spawn([&] {
        const Flag flag{is_destroyed};
        sleep(1h);
        went_on = true;
      });
      yield();
      throw std::runtime_error("left");
    } catch (const std::runtime_error&) {
      EXPECT_TRUE(is_destroyed);
    }
    EXPECT_FALSE(went_on);
  });
}

TEST(Scope, KilledInItsJoinKillsItsChildrenFirst) {
  in_actor([] {
    bool is_child_over = false;
    struct Flag {
      bool& flag;
      ~Flag() { flag = true; }
    };
    const Monitored owner = spawn_monitor([&] {
      Scope scope;
      scope.spawn([&] {
        const Flag flag{is_child_over};
        sleep(1h);
      });
      scope.join();
    });
    wait_until([&] { return process_info(owner.pid).state != "ready, without a stack"; });
    yield();
    exit(owner.pid, ExitReason("boom"));
    EXPECT_EQ(end_of(owner), ExitReason("boom"));
    EXPECT_TRUE(is_child_over);
  });
}

TEST(Scope, CutShortByATimeoutKillsItsChildrenAndThrows) {
  in_actor([] {
    bool is_child_over = false;
    EXPECT_FALSE(try_for(2ms, [&] {
      Scope scope;
      scope.spawn([&] {
        try {
          sleep(1h);
        } catch (...) {
          is_child_over = true;
          throw;
        }
      });
      scope.join();
    }));
    EXPECT_TRUE(is_child_over);
  });
}

}  // namespace
}  // namespace greenroom
