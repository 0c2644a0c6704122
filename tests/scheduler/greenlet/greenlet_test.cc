// Greenlets: what they return, how they end, and who is told. Over 400 lines: one class, and each
// of its calls.
#include "greenroom/scheduler/greenlet/greenlet.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/trace/report_writer.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Event;
using green::Greenlet;
using green::GreenletExit;
using green::joinall;
using green::killall;
using green::spawn;
using green::spawn_later;

using Log = std::vector<std::string>;

struct Unusual {
  int number;
};

std::exception_ptr unusual(int number) { return std::make_exception_ptr(Unusual{number}); }

// Starting.

// To stderr since it is captured; reports are written by a thread of their own.
std::string captured_reports() {
  detail::wait_for_reports();
  return testing::internal::GetCapturedStderr();
}

// gevent: spawn schedules; the child never runs at once, and children run in spawn order.
TEST(Spawn, RunsInOrderAndNeverAtOnce) {
  Log out;
  std::vector<Greenlet<>> all;
  for (const char* name : {"a", "b", "c"}) all.push_back(spawn([&, name] { out.push_back(name); }));
  EXPECT_TRUE(out.empty());
  yield();
  EXPECT_EQ(out, (Log{"a", "b", "c"}));
  EXPECT_TRUE(all[2].ready());
}

// gevent test__order: TestSleep0.
TEST(Spawn, YieldGoesToTheEndOfTheQueue) {
  Log out;
  auto body = [&](std::string name) {
    out.push_back("1" + name);
    yield();
    out.push_back("2" + name);
  };
  joinall({spawn(body, "A"), spawn(body, "B")});
  EXPECT_EQ(out, (Log{"1A", "1B", "2A", "2B"}));
}

TEST(Spawn, MovesItsCallableAndArgumentsAndFreesThemAtTheEnd) {
  auto shared = std::make_shared<int>(1);
  auto greenlet = spawn([](std::unique_ptr<int> a, std::shared_ptr<int> b) { return *a + *b; },
                        std::make_unique<int>(2), shared);
  EXPECT_EQ(shared.use_count(), 2);
  EXPECT_EQ(greenlet.get(), 3);
  EXPECT_EQ(shared.use_count(), 1);
}

// gevent: bool(greenlet) is true from start() on until the result is there.
TEST(Spawn, StartedAndReadyFollowTheLifeOfAGreenlet) {
  auto greenlet = spawn([] { return 1; });
  EXPECT_TRUE(greenlet.started());
  EXPECT_FALSE(greenlet.ready());
  greenlet.join();
  EXPECT_FALSE(greenlet.started());
  EXPECT_TRUE(greenlet.ready());
  EXPECT_TRUE(greenlet.successful());
  EXPECT_EQ(greenlet.exception(), nullptr);
}

TEST(Spawn, DroppingTheHandleNeitherJoinsNorKills) {
  bool ran = false;
  static_cast<void>(spawn([&] {
    yield();
    ran = true;
  }));
  for (int i = 0; i < 3; ++i) yield();
  EXPECT_TRUE(ran);
}

TEST(SpawnLater, RunsInTheOrderOfTheDelays) {
  Log out;
  auto late = spawn_later(4ms, [&] { out.push_back("late"); });
  auto early = spawn_later(1ms, [&] { out.push_back("early"); });
  EXPECT_TRUE(late.started());
  joinall({late, early});
  EXPECT_EQ(out, (Log{"early", "late"}));
}

TEST(EmptyHandle, SaysWhatToDoInstead) {
  const Greenlet<> none;
  EXPECT_FALSE(none);
  EXPECT_THROW(none.join(), std::logic_error);
}

[[gnu::noinline]] void spill_the_tea() {
  throw Unusual{8};
  asm volatile("");
}

TEST(Report, ShowsWhereAGreenletsExceptionWasThrown) {
  const auto failed = spawn(spill_the_tea);
  testing::internal::CaptureStderr();
  EXPECT_THROW(failed.get(), Unusual);
  const std::string report = captured_reports();
  EXPECT_NE(report.find("    at greenroom::(anonymous namespace)::spill_the_tea()"),
            std::string::npos)
      << report;
}

// Join and get: success, timeout, kill while parked, wake racing the timeout.

TEST(Get, ReturnsTheValueOrRethrows) {
  EXPECT_EQ(spawn([] { return std::string("value"); }).get(), "value");
  auto failed = spawn([] { throw Unusual{7}; });
  testing::internal::CaptureStderr();
  EXPECT_THROW(failed.get(), Unusual);
  EXPECT_NE(captured_reports().find("failed with"), std::string::npos);
  EXPECT_THROW(failed.get(), Unusual) << "again, for every reader";
  EXPECT_FALSE(failed.successful());
}

TEST(Get, ThrowsTimeoutErrorWhenTheWaitIsOver) {
  auto slow = spawn([] { sleep(1h); });
  EXPECT_THROW(slow.get(1ms), TimeoutError);
  EXPECT_THROW(slow.get(0s), TimeoutError);
  slow.kill();
  EXPECT_THROW(slow.get(), GreenletExit);
}

// gevent: join returns, whether it has ended or not.
TEST(Join, IsFalseWhenTheWaitIsOver) {
  auto slow = spawn([] { sleep(1h); });
  EXPECT_FALSE(slow.join(1ms));
  EXPECT_FALSE(slow.join(0s));
  slow.kill();
  EXPECT_TRUE(slow.join());
}

TEST(Join, AKilledJoinerLeavesTheGreenletAlone) {
  Event gate;
  auto target = spawn([&] { gate.wait(); });
  auto joiner = spawn([&] { target.join(); });
  yield();
  joiner.kill();
  EXPECT_FALSE(target.ready());
  gate.set();
  EXPECT_TRUE(target.join());
}

TEST(Join, IsTrueIfTheGreenletEndsBeforeTheTimedOutJoinerRuns) {
  Event gate;
  auto target = spawn([&] { gate.wait(); });
  auto joiner = spawn([&] { return target.join(1h); });
  yield();
  gate.set();  // the target is ready first
  joiner.task().hub->end_park(joiner.task(), detail::ParkResult::expired);
  EXPECT_TRUE(joiner.get());
}

TEST(Join, AnyNumberMayJoinAndAllAreTold) {
  auto target = spawn([] { yield(); });
  std::vector<Greenlet<>> joiners;
  joiners.reserve(5);
  int told = 0;
  for (int i = 0; i < 5; ++i) joiners.push_back(spawn([&] { told += target.join() ? 1 : 0; }));
  joinall(joiners);
  EXPECT_EQ(told, 5);
}

// Kill. gevent test__greenlet: TestKill, TestKillAfterStart, TestKillWhileRunning.

TEST(Kill, OneThatHasNotStartedNeverRuns) {
  bool ran = false;
  auto greenlet = spawn([&] { ran = true; });
  greenlet.kill();
  EXPECT_FALSE(ran);
  EXPECT_TRUE(greenlet.ready());
  EXPECT_TRUE(greenlet.successful());
  EXPECT_THROW(greenlet.get(), GreenletExit);
}

// gevent issue607: test_kill_with_exception.
TEST(Kill, WithAnExceptionOneThatHasNotStartedEndsByThat) {
  auto greenlet = spawn([] {});
  greenlet.kill(unusual(1));
  EXPECT_FALSE(greenlet.successful());
  EXPECT_THROW(greenlet.get(), Unusual);
}

TEST(Kill, OneThatWasToStartLaterNeverRunsAndItsTimerIsGone) {
  bool ran = false;
  {
    auto greenlet = spawn_later(2ms, [&] { ran = true; });
    greenlet.kill();
    EXPECT_TRUE(greenlet.ready());
  }
  sleep(5ms);
  EXPECT_FALSE(ran);
}

TEST(Kill, ThrowsAtTheSuspensionPointAndASecondKillDoesNothing) {
  Log out;
  auto greenlet = spawn([&] {
    try {
      sleep(1h);
    } catch (const Unusual& error) {
      out.push_back(std::to_string(error.number));
      throw;
    }
  });
  yield();
  greenlet.kill(unusual(1));
  greenlet.kill(unusual(2));
  EXPECT_EQ(out, Log{"1"});
  EXPECT_FALSE(greenlet.successful());
}

TEST(Kill, MayBeSurvived) {
  auto greenlet = spawn([] {
    try {
      sleep(1h);
    } catch (const GreenletExit&) {
      sleep(3ms);
    }
    return std::string("survived");
  });
  yield();
  greenlet.kill({}, 1ms);
  EXPECT_FALSE(greenlet.ready());
  EXPECT_EQ(greenlet.get(), "survived");
}

TEST(Kill, OfItselfThrowsAtOnce) {
  Greenlet<> self;
  bool went_on = false;
  self = spawn([&] {
    self.kill();
    went_on = true;
  });
  self.join();
  EXPECT_FALSE(went_on);
  EXPECT_TRUE(self.successful());
}

// gevent issue330: a kill of one that is about to run does not bring a stale wake.
TEST(Kill, OneThatIsAboutToRunSeesTheWakeFirstAndThenTheKill) {
  Event gate;
  Log out;
  auto greenlet = spawn([&] {
    gate.wait();
    out.push_back("woken");
    yield();
    out.push_back("not reached");
  });
  yield();
  gate.set();
  greenlet.kill();
  EXPECT_EQ(out, Log{"woken"});
}

TEST(Kill, SeveralExceptionsComeOneAtATimeInOrder) {
  Log out;
  auto greenlet = spawn([&] {
    for (int i = 0; i < 2; ++i) {
      try {
        sleep(1h);
      } catch (const Unusual& error) {
        out.push_back(std::to_string(error.number));
      }
    }
  });
  yield();
  greenlet.kill(unusual(1), 0s);
  greenlet.kill(unusual(2), 0s);
  greenlet.join();
  EXPECT_EQ(out, (Log{"1", "2"}));
}

TEST(Kill, AKillerThatIsKilledWhileItWaitsLeavesTheKillStanding) {
  Event gate;
  auto victim = spawn([&] {
    const Uncancellable uncancellable;
    gate.wait();
  });
  auto killer = spawn([&] { victim.kill(); });
  yield();
  killer.kill();
  EXPECT_FALSE(victim.ready());
  gate.set();
  EXPECT_TRUE(victim.join());
}

// The end is told.

// gevent: link callbacks run in greenlets of their own, in registration order.
TEST(OnExit, CallsBackInOrderAfterTheEnd) {
  Log out;
  auto greenlet = spawn([&] { out.push_back("body"); });
  greenlet.on_exit([&](const Greenlet<>& ended) {
    yield();
    out.push_back(ended.ready() ? "first" : "too early");
  });
  greenlet.on_exit([&](const Greenlet<>&) { out.push_back("second"); });
  greenlet.join();
  for (int i = 0; i < 3; ++i) yield();
  EXPECT_EQ(out, (Log{"body", "second", "first"}));
}

// gevent test__greenlet: TestLink; a link to a finished greenlet runs soon, not at once.
TEST(OnExit, OfOneThatHasEndedRunsSoon) {
  bool told = false;
  auto greenlet = spawn([] {});
  greenlet.join();
  greenlet.on_exit([&](const Greenlet<>&) { told = true; });
  EXPECT_FALSE(told);
  yield();
  EXPECT_TRUE(told);
}

// gevent: a kill by GreenletExit counts as a value.
TEST(OnExit, OnValueAndOnExceptionTellApart) {
  auto outcome_of = [](Greenlet<> greenlet) {
    std::string told;
    greenlet.on_value([&](const Greenlet<>&) { told += "value"; });
    greenlet.on_exception([&](const Greenlet<>&) { told += "exception"; });
    greenlet.join();
    for (int i = 0; i < 3; ++i) yield();
    return told;
  };
  EXPECT_EQ(outcome_of(spawn([] {})), "value");
  testing::internal::CaptureStderr();
  EXPECT_EQ(outcome_of(spawn([] { throw Unusual{1}; })), "exception");
  captured_reports();
  auto killed = spawn([] {});
  killed.kill();
  EXPECT_EQ(outcome_of(killed), "value");
}

// gevent test__greenlet: test_multiple_listeners_error.
TEST(OnExit, ACallbackThatThrowsDoesNotStopTheOthers) {
  bool told = false;
  auto greenlet = spawn([] {});
  greenlet.on_exit([](const Greenlet<>&) { throw std::runtime_error("callback"); });
  greenlet.on_exit([&](const Greenlet<>&) { told = true; });
  testing::internal::CaptureStderr();
  for (int i = 0; i < 4; ++i) yield();
  EXPECT_NE(captured_reports().find("std::runtime_error: callback"), std::string::npos);
  EXPECT_TRUE(told);
}

// Several at once.

TEST(Joinall, ReturnsThemInTheOrderInWhichTheyEnded) {
  auto slow = spawn([] {
    for (int i = 0; i < 5; ++i) yield();
  });
  auto fast = spawn([] {});
  EXPECT_EQ(joinall({slow, fast}), (std::vector<Greenlet<>>{fast, slow}));
}

// gevent: joinall with a timeout returns those that are ready.
TEST(Joinall, ReturnsASubsetWhenTheWaitIsOver) {
  auto slow = spawn([] { sleep(1h); });
  auto fast = spawn([] {});
  EXPECT_EQ(joinall({slow, fast}, 1ms), std::vector<Greenlet<>>{fast});
  EXPECT_EQ(joinall({slow, fast}, 0s), std::vector<Greenlet<>>{fast});
  slow.kill();
}

TEST(Joinall, OfNoneReturnsAtOnce) { EXPECT_TRUE(joinall({}).empty()); }

TEST(Joinall, AKilledJoinerLeavesNothingBehind) {
  auto slow = spawn([] { sleep(1h); });
  auto joiner = spawn([&] { joinall({slow}); });
  yield();
  joiner.kill();
  slow.kill();
  EXPECT_TRUE(slow.ready());
}

TEST(Killall, EndsThoseThatRunAndThoseThatDoNotYet) {
  bool ran = false;
  auto running = spawn([] { sleep(1h); });
  yield();
  auto fresh = spawn([&] { ran = true; });
  killall({running, fresh});
  EXPECT_TRUE(running.ready());
  EXPECT_TRUE(fresh.ready());
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace greenroom
