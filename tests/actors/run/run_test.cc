// run: what it returns, and in which order it ends things. Signals are in run_signals_test.

#include "greenroom/actors/run/run.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>

#include "greenroom/tests/actors/noted.h"
#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

// The tests of run itself: no probe::in_actor.
class Run : public testing::Test {
 protected:
  Run() {
    set_crash_logger([](const CrashReport&) {});
  }
  ~Run() override { set_crash_logger({}); }
};

TEST_F(Run, ReturnsTheBodysInt) {
  EXPECT_EQ(run([] { return 7; }), 7);
  EXPECT_EQ(run([] {}), 0);
  EXPECT_EQ(run([] { return true; }), 1);
}

TEST_F(Run, IsOneIfTheBodyDies) {
  EXPECT_EQ(run([] { throw std::runtime_error("no"); }), 1);
  EXPECT_EQ(run([] { stop(ExitReason("boom")); }), 1);
  EXPECT_EQ(run([] { exit(self(), Reason::kill); }), 1);
}

// The greenlet that stands in run() is an actor like others, with the first pid of all.
TEST_F(Run, ThatIsKilledIsOneAndTheNextOneWorks) {
  testing::internal::CaptureStderr();
  const auto kill_all_others = [] {
    for (const Pid pid : processes()) {
      if (pid != self()) exit(pid, Reason::kill);
    }
    sleep(1h);
  };
  EXPECT_EQ(run([=] {
              spawn(kill_all_others);
              sleep(1h);
            }),
            1);
  EXPECT_EQ(run(kill_all_others), 1);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("run() was killed by <"),
            std::string::npos);
  EXPECT_EQ(run([] {
              yield();
              return 5;
            }),
            5);
  sleep(1ms);  // nor is anything left in the thread's own greenlet
}

TEST_F(Run, IsTheBodysIfItStopsQuietly) {
  EXPECT_EQ(run([] { stop(Reason::normal); }), 0);
  EXPECT_EQ(run([] { stop(Reason::shutdown); }), 0);
}

TEST_F(Run, CanBeRepeatedWithAnyNumberOfHubs) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(run({.hubs = 1 + i % 3},
                  [] {
                    const Monitored other =
                        spawn_monitor(SpawnOptions{.place = Placement::next_hub}, [] {});
                    return end_of(other) == Reason::normal ? 5 : 6;
                  }),
              5);
  }
}

TEST_F(Run, RefusesNoHubsAndRunInsideRun) {
  EXPECT_THROW(run({.hubs = 0}, [] {}), std::invalid_argument);
  EXPECT_THROW(run({.hubs = 5000}, [] {}), std::invalid_argument);
  EXPECT_THROW(run(ChildSpec{}), std::invalid_argument);
  EXPECT_EQ(run([] {
              EXPECT_THROW(run([] {}), std::logic_error);
              green::spawn([] { EXPECT_THROW(run([] {}), std::logic_error); }).join();
            }),
            0);
}

TEST_F(Run, OfATreeEndsWithTheTree) {
  struct Child {
    explicit Child(ExitReason reason) : why(std::move(reason)) { send(self(), Go{}); }
    void handle(Message&) { stop(why); }
    ExitReason why;
  };
  // The last significant child ends it: no failure.
  EXPECT_EQ(
      run(supervisor({.auto_shutdown = AutoShutdown::any_significant,
                      .children = {child<Child>(
                          {.restart = Restart::temporary, .significant = true}, Reason::normal)}})),
      0);
}

TEST_F(Run, OfATreeThatCannotStartIsOneAndSaysWhy) {
  struct Broken {
    Broken() { throw std::runtime_error("out of tea"); }
    void handle(Go) {}
  };
  testing::internal::CaptureStderr();
  EXPECT_EQ(run(supervisor({.children = {child<Broken>({.id = "broken"})}})), 1);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("broken"), std::string::npos) << text;
  EXPECT_NE(text.find("out of tea"), std::string::npos) << text;
}

TEST_F(Run, OfATreeThatGivesUpIsOne) {
  struct Crashes {
    Crashes() { send(self(), Go{}); }
    void handle(Message&) { throw std::runtime_error("again"); }
  };
  testing::internal::CaptureStderr();
  EXPECT_EQ(run(supervisor({.intensity = 2, .children = {child<Crashes>({.id = "crashes"})}})), 1);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("crashes"), std::string::npos);
}

TEST_F(Run, EndsWhatIsLeftOnAllHubs) {
  for (const int hubs : {1, 3}) {
    int destroyed = 0;
    std::mutex mutex;
    struct Count {
      int& count;
      std::mutex& mutex;
      ~Count() {
        const std::lock_guard lock(mutex);
        ++count;
      }
    };
    EXPECT_EQ(run({.hubs = hubs},
                  [&] {
                    for (int i = 0; i < 30; ++i) {
                      spawn(SpawnOptions{.place = Placement::next_hub}, [&, test = self()] {
                        const Count count{destroyed, mutex};
                        send(test, Go{});
                        receive([](double) {});
                      });
                    }
                    for (int i = 0; i < 30; ++i) next<Go>();
                    for (int i = 0; i < 3; ++i) {
                      green::spawn([&] {
                        const Count count{destroyed, mutex};
                        sleep(1h);
                      });
                    }
                    yield();
                    return 3;
                  }),
              3);
    EXPECT_EQ(destroyed, 33);
  }
}

struct Child {
  int handle(int number) { return number + 1; }
};
struct Parent {
  static constexpr bool trap_exits = true;
  Parent(Placement where, int* value)
      : child(start_link<Child>(SpawnOptions{.place = where})), answer(value) {}
  void handle(const Exit&) { ADD_FAILURE() << "the child has ended first"; }
  void terminate(const ExitReason&) {
    sleep(20ms);
    *answer += call(child, 1);
  }
  ServerRef<Child> child;
  int* answer;
};

// An actor looks after its children on other hubs, too: they are there until it has ended.
TEST_F(Run, LeavesChildrenOnOtherHubsToTheirParent) {
  for (const Placement place : {Placement::next_hub, Placement::own_thread}) {
    int first = 0;
    int second = 0;
    EXPECT_EQ(run({.hubs = 2},
                  [&] {
                    start<Parent>(place, &first);
                    start<Parent>(place, &second);
                  }),
              0);
    EXPECT_EQ(first, 2);
    EXPECT_EQ(second, 2);
  }
}

// As the body ends they are on their way to the other hubs.
TEST_F(Run, ActorsThatArriveAtTheEndAreToldShutdownToo) {
  std::atomic<int> reports{0};
  set_crash_logger([&](const CrashReport&) { ++reports; });
  for (int round = 0; round < 50; ++round) {
    EXPECT_EQ(run({.hubs = 3},
                  [] {
                    for (int i = 0; i < 9; ++i)
                      spawn(SpawnOptions{.place = Placement::next_hub}, [] { sleep(1h); });
                  }),
              0);
  }
  EXPECT_EQ(reports, 0);
}

TEST_F(Run, AnActorThatIsLeftIsToldShutdownFirst) {
  ExitReason told = Reason::normal;
  EXPECT_EQ(run([&] {
              spawn([&] {
                trap_exits();
                told = receive([](const Exit& exit) { return exit.reason; });
              });
              yield();
            }),
            0);
  EXPECT_EQ(told, Reason::shutdown);
}

TEST_F(Run, KillsWhatDoesNotEndInTheGrace) {
  bool is_destroyed = false;
  struct Flag {
    bool& flag;
    ~Flag() { flag = true; }
  };
  EXPECT_EQ(run({.grace = 10ms},
                [&] {
                  spawn([&] {
                    const Flag flag{is_destroyed};
                    trap_exits();
                    for (;;) receive([](const Exit&) {});
                  });
                  yield();
                  return 4;
                }),
            4);
  EXPECT_TRUE(is_destroyed);
}

TEST_F(Run, EndsATreeThatItsBodyStartedInOrder) {
  std::string order;
  EXPECT_EQ(run([&] {
              start_supervisor(supervisor({.children = {child<Noted>({.id = "a"}, &order, 'a'),
                                                        child<Noted>({.id = "b"}, &order, 'b')}}));
              stop(Reason::shutdown);
            }),
            0);
  EXPECT_EQ(order, "ba");
}

TEST_F(Run, ThatNothingCanEverWakeSaysSoAndIsOne) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(run([] {
              register_name("the one that waits");
              receive([](Go) {});
            }),
            1);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("the one that waits"), std::string::npos);
}

TEST_F(Run, NoticesThatNothingCanWakeItWhenTheLastOtherHubEnds) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(run([] {
              spawn(SpawnOptions{.place = Placement::own_thread}, [] { sleep(20ms); });
              receive([](Go) {});
            }),
            1);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("block for ever"), std::string::npos);
}

TEST_F(Run, IsNotOverWhileAnotherHubHasWork) {
  EXPECT_EQ(run({.hubs = 2},
                [] {
                  spawn(SpawnOptions{.place = elsewhere()}, [test = self()] {
                    sleep(20ms);
                    send(test, Go{});
                  });
                  receive([](Go) {});
                  return 9;
                }),
            9);
}

// A server outside run(), on a hub that its group does not see.
TEST_F(Run, WaitsForAnAnswerFromAHubOfAnotherThread) {
  struct Slow {
    int handle(Go) {
      sleep(20ms);
      return 4;
    }
  };
  std::promise<ServerRef<Slow>> promise;
  std::promise<Pid> keeper;
  std::thread outside([&] {
    keeper.set_value(self());
    promise.set_value(start<Slow>());
    next<Go>();  // until it is told
  });
  const ServerRef<Slow> slow = promise.get_future().get();
  EXPECT_EQ(run({.hubs = 2}, [slow] { return call(slow, Go{}, Wait::forever()); }), 4);
  EXPECT_EQ(run({.hubs = 2}, [slow] { return is_alive(slow.pid()) ? 4 : 0; }), 4);
  send(keeper.get_future().get(), Go{});
  outside.join();
}

// What it blocks is its own thread. Its hub goes idle, and ends, after run() has returned.
TEST_F(Run, LeavesBehindAnActorThatKeepsItsOwnThread) {
  std::promise<void> may_end;
  std::promise<void> has_ended;
  testing::internal::CaptureStderr();
  EXPECT_EQ(run({.hubs = 2, .grace = 1ms},
                [&] {
                  spawn(SpawnOptions{.place = Placement::own_thread}, [&, test = self()] {
                    const Uncancellable until_told;
                    send(test, Go{});
                    may_end.get_future().wait();  // the thread stands still
                    yield();
                    sleep(1ns);  // its hub goes to sleep
                    has_ended.set_value();
                  });
                  next<Go>();
                  return 3;
                }),
            3);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("does not end with run()"),
            std::string::npos);
  may_end.set_value();
  has_ended.get_future().wait();
}

}  // namespace
}  // namespace greenroom
