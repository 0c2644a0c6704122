// What a supervisor does with a child that a kill does not end.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "greenroom/actors/actors.h"
#include "greenroom/actors/core/delivery.h"
#include "greenroom/scheduler/sync/event.h"
#include "greenroom/scheduler/sync/lock.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;

struct Go {};

std::chrono::nanoseconds time_of(const std::function<void()>& body) {
  const auto start = clock::now();
  body();
  return clock::now() - start;
}

Exit next_exit() {
  return receive([](Exit exit) { return exit; });
}
Down next_down() {
  return receive([](Down down) { return down; });
}

ChildSpec unkillable(Unkillable policy, std::function<void()> body) {
  return child({.id = "mule", .shutdown = Shutdown::brutal_kill(), .unkillable = policy},
               [test = self(), body = std::move(body)] {
                 const Uncancellable busy;
                 send(test, self());
                 body();
               });
}

Pid next_pid() {
  return receive([](Pid pid) { return pid; });
}

TEST(Unkillable, AChildIsAbandonedFiveSecondsAfterItsKill) {
  testkit::simulate({}, [] {
    trap_exits();
    const Pid tree = start_supervisor(
        supervisor({.children = {unkillable(Unkillable::abandon, [] { green::Event().wait(); })}}));
    const Pid mule = next_pid();
    monitor(mule);
    testing::internal::CaptureStderr();
    exit(tree, Reason::shutdown);
    EXPECT_EQ(time_of([] { EXPECT_EQ(next_exit().reason, Reason::shutdown); }), 5s);
    EXPECT_EQ(next_down().reason, Reason::killed);
    EXPECT_FALSE(is_alive(mule));
    const std::string text = testing::internal::GetCapturedStderr();
    EXPECT_NE(text.find("'mule'"), std::string::npos) << text;
    EXPECT_NE(text.find("does not end; it runs at"), std::string::npos) << text;
  });
}

TEST(Unkillable, ChildrenOfADynamicSupervisorAreWaitedForTogether) {
  for (const bool is_brutal : {true, false}) {
    testkit::simulate({}, [is_brutal] {
      trap_exits();
      const Pid tree = start_supervisor(dynamic_supervisor({}));
      const ChildOptions options{
          .shutdown = is_brutal ? Shutdown::brutal_kill() : Shutdown::after(1s),
          .unkillable = Unkillable::abandon};
      for (int i = 0; i < 3; ++i) {
        start_child(tree, options, [test = self()] {
          const Uncancellable busy;
          send(test, self());
          green::Event().wait();
        });
        next_pid();
      }
      testing::internal::CaptureStderr();
      exit(tree, Reason::shutdown);
      EXPECT_EQ(time_of([] { EXPECT_EQ(next_exit().reason, Reason::shutdown); }),
                is_brutal ? 5s : 6s);
      testing::internal::GetCapturedStderr();
    });
  }
}

// It is on the list of a waiter that another hub looks through.
TEST(Unkillable, TheStackOfOneThatIsAbandonedStaysWhereItIs) {
  testkit::run_actors([] {
    green::Event* event = nullptr;
    green::Event is_there;
    green::Event may_end;
    std::thread other([&] {
      const Hold until_told = green::get_hub().hold();
      const Pid mule = spawn([&] {
        green::Event mine;
        event = &mine;
        for (;;) {
          try {
            receive([](Go) {});
          } catch (...) {  // it never ends
          }
        }
      });
      monitor(mule);
      yield();
      is_there.set();
      may_end.wait();
      exit(mule, Reason::kill);
      EXPECT_EQ(next_down().reason, Reason::killed);
    });
    const Hold hold = green::get_hub().hold();
    is_there.wait();
    testing::internal::CaptureStderr();
    const auto waiter = green::spawn([&] { event->wait(); });
    yield();
    may_end.set();
    other.join();
    waiter.kill();
    testing::internal::GetCapturedStderr();
  });
}

TEST(Unkillable, AnActorOfAnotherHubIsAbandonedThere) {
  testkit::simulate({.hubs = 2}, [] {
    const Pid mule = spawn({.place = Placement::next_hub}, [test = self()] {
      const Uncancellable busy;
      send(test, self());
      green::Event().wait();
    });
    next_pid();
    monitor(mule);
    exit(mule, Reason::kill);
    detail::send_signal({detail::SignalKind::abandon, self(), mule});
    EXPECT_EQ(next_down().reason, Reason::killed);
  });
}

TEST(Unkillable, AnAbandonedWaiterLosesItsTurnAndNobodyElses) {
  testkit::simulate({}, [] {
    green::Lock lock;
    lock.acquire();
    const Pid mule = spawn([&lock, test = self()] {
      const Uncancellable busy;
      send(test, self());
      lock.acquire();
    });
    next_pid();
    spawn([&lock, test = self()] {
      send(test, self());
      lock.acquire();
      lock.release();
      send(test, Go{});
    });
    next_pid();
    yield();
    monitor(mule);
    exit(mule, Reason::kill);
    detail::send_signal({detail::SignalKind::abandon, self(), mule});
    EXPECT_EQ(next_down().reason, Reason::killed);
    lock.release();
    receive([](Go) {});
  });
}

TEST(Unkillable, AnActorThatIsReadyIsAbandonedToo) {
  const int code = run([] {
    const Pid mule = spawn([test = self()] {
      const Uncancellable busy;
      send(test, self());
      for (;;) yield();
    });
    next_pid();
    monitor(mule);
    exit(mule, Reason::kill);
    yield();
    EXPECT_TRUE(process_info(mule).is_exiting);
    detail::send_signal({detail::SignalKind::abandon, self(), mule});
    EXPECT_EQ(next_down().reason, Reason::killed);
    yield();
    return 0;
  });
  EXPECT_EQ(code, 0);
}

TEST(Unkillable, AnActorThatWasNotKilledIsNotAbandoned) {
  testkit::simulate({}, [] {
    const Pid actor = spawn([] { receive([](Go) {}); });
    yield();
    detail::send_signal({detail::SignalKind::abandon, self(), actor});
    EXPECT_TRUE(is_alive(actor));
    send(actor, Go{});
  });
}

// A hub whose thread is busy answers nothing: its child counts as ended, and its name is free.
TEST(Unkillable, AChildThatKeepsItsThreadIsGivenUp) {
  std::atomic<bool> is_over{false};
  testing::internal::CaptureStderr();
  struct Mule {
    Mule(Pid told, std::atomic<bool>* over) : test(told), is_over(over) {}
    void handle(Go) {
      send(test, self());
      while (!*is_over) {
      }
    }
    Pid test;
    std::atomic<bool>* is_over;
  };
  const int code = run({.hubs = 2}, [&] {
    trap_exits();
    ChildSpec spec = child(
        {.id = "mule", .shutdown = Shutdown::brutal_kill(), .unkillable = Unkillable::abandon},
        [] {});
    spec.start = [test = self(), &is_over](const std::string& id) {
      return start_link<Mule>(SpawnOptions{.name = id, .place = Placement::next_hub}, test,
                              &is_over)
          .pid();
    };
    const Pid tree = start_supervisor(supervisor({.children = {spec}}));
    cast(ServerName<Mule>("mule"), Go{});
    next_pid();
    exit(tree, Reason::shutdown);
    EXPECT_EQ(next_exit().reason, Reason::shutdown);
    EXPECT_FALSE(whereis("mule"));
    is_over = true;
    return 0;
  });
  EXPECT_EQ(code, 0);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("does not end; nothing else runs on its hub any more"), std::string::npos)
      << text;
}

TEST(UnkillableDeathTest, AbortEndsTheProgram) {
  EXPECT_DEATH(
      testkit::simulate(
          {},
          [] {
            trap_exits();
            const Pid tree = start_supervisor(supervisor(
                {.children = {unkillable(Unkillable::abort, [] { green::Event().wait(); })}}));
            next_pid();
            exit(tree, Reason::shutdown);
            next_exit();
          }),
      "'mule'.*does not end");
}

}  // namespace
}  // namespace greenroom
