// How long things take, to the nanosecond, by the virtual clock of a simulation: receives, timers,
// calls, restarts and shutdowns. Each with several orders of what is ready.

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>

#include "greenroom/actors/actors.h"
#include "greenroom/testkit/testkit.h"
#include "greenroom/tests/actors/worker.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;

struct Go {};

class VirtualTime : public testing::TestWithParam<int> {
 protected:
  VirtualTime() {
    set_crash_logger([](const CrashReport&) {});
  }
  ~VirtualTime() override { set_crash_logger({}); }
  // One hub for even seeds, two for odd ones.
  static void simulate(std::function<void()> body) {
    const auto seed = static_cast<std::uint64_t>(GetParam());
    testkit::simulate({.seed = seed, .hubs = 1 + GetParam() % 2}, std::move(body));
  }
};
INSTANTIATE_TEST_SUITE_P(Seeds, VirtualTime, testing::Range(0, 6));

// How long f takes.
template <class F>
std::chrono::nanoseconds time_of(F f) {
  const auto before = clock::now();
  f();
  return clock::now() - before;
}

TEST_P(VirtualTime, AfterCountsFromTheStartWhateverComesMeanwhile) {
  simulate([] {
    spawn(SpawnOptions{.place = Placement::next_hub}, [test = self()] {
      for (int i = 0; i < 30; ++i) {
        sleep(100ms);
        send(test, i);
      }
    });
    EXPECT_EQ(time_of([] { receive([](Go) {}, after(1050ms, [] {})); }), 1050ms);
  });
}

TEST_P(VirtualTime, SendAfterComesAfterItsTime) {
  simulate([] {
    send_after(3s, self(), 3);
    send_after(1s, self(), 1);
    EXPECT_EQ(time_of([] { receive([](int n) { EXPECT_EQ(n, 1); }); }), 1s);
    EXPECT_EQ(time_of([] { receive([](int n) { EXPECT_EQ(n, 3); }); }), 2s);
  });
}

TEST_P(VirtualTime, CancelTimerTellsExactlyWhatWasLeft) {
  simulate([] {
    const TimerRef timer = send_after(10s, self(), 1);
    sleep(3s);
    EXPECT_EQ(cancel_timer(timer), 7s);
    EXPECT_TRUE(receive([](int) { return false; }, after(1h, [] { return true; })));
  });
}

TEST_P(VirtualTime, IntervalsDoNotDrift) {
  simulate([] {
    const auto start = clock::now();
    const TimerRef timer = send_interval(10ms, self(), 1);
    for (int i = 1; i <= 50; ++i) {
      receive([](int) {});
      EXPECT_EQ(clock::now() - start, i * 10ms);
      sleep(3ms);  // what it does takes a while
    }
    cancel_timer(timer);
  });
}

struct Sleeper {
  int handle(std::chrono::milliseconds time) {
    sleep(time);
    return 1;
  }
};

TEST_P(VirtualTime, ACallTimesOutAfterItsTimeOrFiveSeconds) {
  simulate([] {
    const auto server = start<Sleeper>(SpawnOptions{.place = Placement::next_hub});
    EXPECT_EQ(
        time_of([&] { EXPECT_EQ(try_call(server, 20'000ms, 700ms).reason(), Reason::timeout); }),
        700ms);
    sleep(30s);
    EXPECT_EQ(time_of([&] { EXPECT_EQ(try_call(server, 20'000ms).reason(), Reason::timeout); }),
              5s);
    sleep(30s);
    EXPECT_TRUE(try_call(server, 4'999ms));
  });
}

TEST_P(VirtualTime, ADeadlineBoundsACallUnderIt) {
  simulate([] {
    const auto server = start<Sleeper>();
    EXPECT_EQ(time_of([&] {
                EXPECT_THROW(with_deadline(2s, [&] { return call(server, 20'000ms, 10s); }),
                             TimeoutError);
              }),
              2s);
  });
}

TEST_P(VirtualTime, WaitingForANameTakesTheCallsTimeOnly) {
  simulate([] {
    const ServerName<Sleeper> name("sleeper");
    spawn([] {
      sleep(1s);
      start<Sleeper>(SpawnOptions{.name = "sleeper"});
      sleep(1h);
    });
    EXPECT_EQ(time_of([&] { EXPECT_TRUE(try_call(name.waiting(), 500ms, 3s)); }), 1500ms);
    EXPECT_EQ(
        time_of([&] { EXPECT_FALSE(try_call(ServerName<Sleeper>("nobody").waiting(), 1ms, 3s)); }),
        3s);
  });
}

// A child that ends after each of so many times; the test is told at every start.
ChildSpec ends_after(std::chrono::nanoseconds time) {
  return child({.id = "child"}, [test = self(), time] {
    send(test, Go{});
    sleep(time);
    stop(ExitReason("boom"));
  });
}

TEST_P(VirtualTime, ARestartExactlyAPeriodAgoStillCounts) {
  simulate([] {
    trap_exits();
    const Pid tree =
        start_supervisor(supervisor({.intensity = 1, .period = 5s, .children = {ends_after(5s)}}));
    for (int starts = 0; starts < 2; ++starts) receive([](Go) {});
    EXPECT_EQ(receive([](Go) { return Pid{}; }, [](const Exit& exit) { return exit.from; }), tree);
  });
}

TEST_P(VirtualTime, ARestartOneMillisecondBeforeThePeriodDoesNot) {
  simulate([] {
    trap_exits();
    const Pid tree = start_supervisor(
        supervisor({.intensity = 1, .period = 5s, .children = {ends_after(5001ms)}}));
    for (int starts = 0; starts < 20; ++starts) receive([](Go) {});
    EXPECT_TRUE(is_alive(tree));
    exit(tree, Reason::shutdown);
    receive([](const Exit&) {});
  });
}

// A child that tells the test of its start, and crashes when it is told to.
ChildSpec ends_when_told(const std::string& id) {
  return child({.id = id}, [test = self()] {
    send(test, self());
    receive([](Go) { stop(ExitReason("boom")); });
  });
}

TEST_P(VirtualTime, BackoffDoublesUpToItsLimit) {
  simulate([] {
    trap_exits();
    const Pid tree = start_supervisor(supervisor({.intensity = 100,
                                                  .period = 1h,
                                                  .backoff = {.initial = 1s, .limit = 5s},
                                                  .children = {ends_after(0s)}}));
    receive([](Go) {});
    for (const std::chrono::seconds pause : {0s, 1s, 2s, 4s, 5s, 5s})
      EXPECT_EQ(time_of([] { receive([](Go) {}); }), pause);
    exit(tree, Reason::shutdown);
    receive([](const Exit&) {});
  });
}

TEST_P(VirtualTime, ABackoffThatWasEndedDoesNotShortenALaterOne) {
  simulate([] {
    trap_exits();
    const Pid tree = start_supervisor(supervisor({.intensity = 100,
                                                  .period = 1h,
                                                  .backoff = {.initial = 2s},
                                                  .children = {ends_when_told("a")}}));
    const auto crash = [] { send(receive([](Pid child) { return child; }), Go{}); };
    crash();  // the first restart is at once
    crash();
    sleep(1s);  // of 2 s
    terminate_child(tree, "a");
    restart_child(tree, "a");
    crash();
    EXPECT_EQ(time_of([] { receive([](Pid) {}); }), 4s);
    exit(tree, Reason::shutdown);
    receive([](const Exit&) {});
  });
}

// The backoff of a group: its second restart waits 2 s, its third 4 s.

Pid start_group(Strategy strategy) {
  trap_exits();
  const Pid tree = start_supervisor(
      supervisor({.strategy = strategy,
                  .intensity = 100,
                  .period = 1h,
                  .backoff = {.initial = 2s},
                  .children = {probe::worker("a"), probe::worker("b"), probe::worker("c")}}));
  EXPECT_EQ(probe::events(3), "a+b+c+");
  return tree;
}

void expect_events_after(std::chrono::nanoseconds time, const std::string& text) {
  const int count = static_cast<int>(text.size() / 2);
  EXPECT_EQ(time_of([&] { EXPECT_EQ(probe::events(count), text); }), time) << text;
}

TEST_P(VirtualTime, AOneForAllGroupEndsBeforeItsBackoffAndStartsAfterIt) {
  simulate([] {
    const Pid tree = start_group(Strategy::one_for_all);
    probe::crash("b");
    expect_events_after(0s, "b-c-a-a+b+c+");
    probe::crash("b");
    expect_events_after(0s, "b-c-a-");
    expect_events_after(2s, "a+b+c+");
    probe::shut_down(tree);
  });
}

TEST_P(VirtualTime, ARestForOneGroupEndsBeforeItsBackoffAndStartsAfterIt) {
  simulate([] {
    const Pid tree = start_group(Strategy::rest_for_one);
    probe::crash("b");
    expect_events_after(0s, "b-c-b+c+");
    probe::crash("b");
    expect_events_after(0s, "b-c-");
    expect_events_after(2s, "b+c+");
    probe::shut_down(tree);
  });
}

TEST_P(VirtualTime, AnEarlierChildsCrashTakesTheBackoffOfALaterOneOver) {
  simulate([] {
    const Pid tree = start_group(Strategy::rest_for_one);
    probe::crash("c");
    expect_events_after(0s, "c-c+");
    probe::crash("c");
    expect_events_after(0s, "c-");
    sleep(1s);
    probe::crash("a");
    expect_events_after(0s, "a-b-");
    expect_events_after(4s, "a+b+c+");
    probe::shut_down(tree);
  });
}

TEST_P(VirtualTime, AChildThatIsEndedDuringTheBackoffIsLeftOutOfTheGroup) {
  simulate([] {
    const Pid tree = start_group(Strategy::one_for_all);
    probe::crash("b");
    expect_events_after(0s, "b-c-a-a+b+c+");
    probe::crash("b");
    expect_events_after(0s, "b-c-a-");
    sleep(1s);
    terminate_child(tree, "b");  // the one that has crashed
    terminate_child(tree, "a");
    expect_events_after(1s, "c+");
    for (const char* id : {"a", "b"}) {
      const auto all = which_children(tree);
      EXPECT_FALSE(probe::find(all, id)->pid);
      EXPECT_FALSE(probe::find(all, id)->is_restarting);
      EXPECT_TRUE(restart_child(tree, id));
    }
    probe::shut_down(tree);
  });
}

TEST_P(VirtualTime, AChildThatIsAddedDuringTheBackoffIsNoPartOfTheGroup) {
  simulate([] {
    const Pid tree = start_group(Strategy::one_for_all);
    probe::crash("b");
    expect_events_after(0s, "b-c-a-a+b+c+");
    probe::crash("b");
    expect_events_after(0s, "b-c-a-");
    const Pid added = start_child(tree, probe::worker("d"));
    expect_events_after(0s, "d+");
    expect_events_after(2s, "a+b+c+");
    EXPECT_EQ(probe::pid_of("d"), added);
    probe::shut_down(tree);
  });
}

TEST_P(VirtualTime, AChildThatIsAddedDuringTheBackoffKeepsItsOwn) {
  simulate([] {
    const Pid tree = start_group(Strategy::rest_for_one);
    probe::crash("b");
    expect_events_after(0s, "b-c-b+c+");
    probe::crash("b");
    expect_events_after(0s, "b-c-");
    start_child(tree, probe::worker("d"));
    probe::crash("d");
    expect_events_after(0s, "d+d-");
    expect_events_after(2s, "b+c+");
    expect_events_after(2s, "d+");
    probe::shut_down(tree);
  });
}

TEST_P(VirtualTime, AChildThatDoesNotEndIsKilledAfterItsShutdownTime) {
  simulate([] {
    trap_exits();
    const Pid tree = start_supervisor(supervisor(
        {.children = {child({.id = "deaf", .shutdown = Shutdown::after(7s)}, [test = self()] {
           trap_exits();
           send(test, Go{});
           for (;;) receive([](const Exit&) {});
         })}}));
    receive([](Go) {});
    exit(tree, Reason::shutdown);
    EXPECT_EQ(time_of([] { receive([](const Exit&) {}); }), 7s);
  });
}

TEST_P(VirtualTime, ADynamicSupervisorsChildrenShareOneShutdownTime) {
  simulate([] {
    trap_exits();
    const Pid tree = start_supervisor(dynamic_supervisor({}));
    for (int i = 0; i < 5; ++i) {
      start_child(tree, ChildOptions{.shutdown = Shutdown::after(7s)}, [test = self()] {
        trap_exits();
        send(test, Go{});
        for (;;) receive([](const Exit&) {});
      });
      receive([](Go) {});
    }
    exit(tree, Reason::shutdown);
    EXPECT_EQ(time_of([] { receive([](const Exit&) {}); }), 7s);
  });
}

TEST_P(VirtualTime, AChildThatNotEvenAKillEndsIsReportedAndWaitedFor) {
  simulate([] {
    trap_exits();
    const Pid tree = start_supervisor(
        supervisor({.children = {child({.id = "busy one", .shutdown = Shutdown::brutal_kill()},
                                       [test = self()] {
                                         const Uncancellable busy;
                                         send(test, Go{});
                                         sleep(12s);
                                       })}}));
    receive([](Go) {});
    testing::internal::CaptureStderr();
    exit(tree, Reason::shutdown);
    EXPECT_EQ(time_of([] { receive([](const Exit&) {}); }), 12s);
    const std::string text = testing::internal::GetCapturedStderr();
    EXPECT_NE(text.find("'busy one'"), std::string::npos) << text;
    EXPECT_NE(text.find("does not end"), std::string::npos) << text;
  });
}

}  // namespace
}  // namespace greenroom
