// Names and numbers of greenlets, the running one, idle(), and what a handle tells of the value.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/trace/report_writer.h"
#include "greenroom/scheduler/watch/dump.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Event;
using green::getcurrent;
using green::Greenlet;
using green::GreenletExit;
using green::spawn;

std::string captured_reports() {
  detail::wait_for_reports();
  return testing::internal::GetCapturedStderr();
}

// Names. gevent test__greenlet: test_minimal_id; test___ident: test_basic.

TEST(Ident, IsTheLowestFreeOneOfThoseAskedFor) {
  auto unasked = spawn([] {});
  auto a = spawn([] {});
  auto b = spawn([] {});
  EXPECT_EQ(a.minimal_ident(), 0);
  EXPECT_EQ(a.minimal_ident(), 0);
  EXPECT_EQ(b.minimal_ident(), 1);
  green::joinall({unasked, a, b});
  EXPECT_EQ(b.minimal_ident(), 1) << "as long as there is a handle";
  a = spawn([] {});
  auto c = spawn([] {});
  EXPECT_EQ(c.minimal_ident(), 0) << "the number of the one that is gone";
  EXPECT_EQ(a.minimal_ident(), 2);
}

TEST(Ident, IsOfEachHubsOwn) {
  auto a = spawn([] {});
  auto b = spawn([] {});
  EXPECT_NE(a.minimal_ident(), b.minimal_ident());
  std::thread([&] { EXPECT_EQ(spawn([] {}).minimal_ident(), 0); }).join();
}

TEST(Name, IsMadeOfTheIdentUnlessItIsSet) {
  auto greenlet = spawn([] {});
  EXPECT_EQ(greenlet.name(), "Greenlet-" + std::to_string(greenlet.minimal_ident()));
  greenlet.set_name("worker");
  EXPECT_EQ(greenlet.name(), "worker");
  greenlet.join();
  EXPECT_EQ(greenlet.name(), "worker");
}

TEST(Name, IsShownInDumpsAndInTheReportOfAnError) {
  auto greenlet = spawn([] {
    yield();
    throw std::runtime_error("text");
  });
  greenlet.set_name("worker");
  yield();
  EXPECT_NE(dump().find("greenlet \"worker\" "), std::string::npos);
  testing::internal::CaptureStderr();
  greenlet.join();
  EXPECT_NE(captured_reports().find("greenlet \"worker\" "), std::string::npos);
}

TEST(Name, OfOneThatIsToStartLaterLeavesItsTimer) {
  bool ran = false;
  auto later = green::spawn_later(1ms, [&] { ran = true; });
  later.set_name("later");
  later.join();
  EXPECT_TRUE(ran);
}

TEST(Name, MayBeAskedForOnAnyThread) {
  auto greenlet = spawn([] {});
  std::string seen;
  std::thread([&] { seen = greenlet.name(); }).join();
  EXPECT_EQ(seen, greenlet.name());
}

// getcurrent.

TEST(Getcurrent, IsTheRunningGreenlet) {
  Greenlet<> seen;
  auto greenlet = spawn([&] { seen = getcurrent(); });
  greenlet.join();
  EXPECT_EQ(seen, greenlet);
}

TEST(Getcurrent, OfTheRootIsAHandleOfItsOwnThatCanBeComparedAndNamed) {
  const Greenlet<> root = getcurrent();
  EXPECT_EQ(root, getcurrent());
  EXPECT_FALSE(root.ready());
  EXPECT_TRUE(root.started());
  auto other = spawn([&] { EXPECT_NE(getcurrent(), root); });
  other.join();
  root.set_name("main");
  EXPECT_EQ(getcurrent().name(), "main");
}

TEST(Getcurrent, TheRootCanBeKilledByItsHandle) {
  const Greenlet<> root = getcurrent();
  auto killer = spawn([&] { green::kill(root); });
  EXPECT_THROW(sleep(1h), GreenletExit);
  killer.join();
}

TEST(Getcurrent, ARootsHandleEndsWithItsThread) {
  Greenlet<> root;
  std::thread([&] { root = getcurrent(); }).join();
  EXPECT_TRUE(root.ready());
  EXPECT_TRUE(root.join());
  root.kill();
  bool told = false;
  root.link([&](const Greenlet<>&) { told = true; });
  yield();
  EXPECT_TRUE(told);
}

TEST(Getcurrent, InHubWorkThrows) {
  bool has_thrown = false;
  green::get_hub().post([&] {
    try {
      getcurrent();
    } catch (const std::logic_error&) {
      has_thrown = true;
    }
  });
  sleep(1ms);
  EXPECT_TRUE(has_thrown);
}

// gevent test__greenlet: TestDeadPropertyDuringSwitch.
TEST(Getcurrent, IsNotReadyAsLongAsItRuns) {
  bool was_ready = true;
  Greenlet<> self;
  const auto greenlet = spawn([&] {
    self = getcurrent();
    yield();
    was_ready = self.ready();
  });
  yield();  // it is switched away from now
  EXPECT_FALSE(self.ready());
  greenlet.join();
  EXPECT_FALSE(was_ready);
  EXPECT_TRUE(self.ready());
}

// idle: success, timeout, kill while parked, wake racing the timeout.

TEST(Idle, ReturnsWhenNobodyIsReadyAnyMore) {
  int turns = 0;
  spawn([&] {
    for (int i = 0; i < 20; ++i) {
      ++turns;
      yield();
    }
    spawn([&] { ++turns; });
  });
  green::idle();
  EXPECT_EQ(turns, 21);
}

TEST(Idle, DoesNotWaitForThoseWhoSleep) {
  auto sleeper = spawn([] { sleep(1h); });
  green::idle();
  EXPECT_FALSE(sleeper.ready());
  sleeper.kill();
}

TEST(Idle, IsLeftByATimeout) {
  Event over;
  auto busy = spawn([&] {
    while (!over.is_set()) yield();
  });
  EXPECT_FALSE(try_for(1ms, [] { green::idle(); }));
  over.set();
  busy.join();
}

TEST(Idle, IsLeftByAKill) {
  Event over;
  auto idler = spawn([&] {
    green::idle();
    ADD_FAILURE();
  });
  auto busy = spawn([&] {
    while (!over.is_set()) yield();
  });
  yield();
  idler.kill();
  over.set();
  busy.join();
  green::idle();
}

TEST(Idle, SeveralAreWokenTogetherAndATimeoutThatComesThenIsForgotten) {
  int woken = 0;
  auto body = [&] { woken += try_for(1h, [] { green::idle(); }) ? 1 : 0; };
  green::joinall({spawn(body), spawn(body)});
  EXPECT_EQ(woken, 2);
}

// The value.

TEST(Value, IsACopyOrNothingAndNeverBlocks) {
  auto greenlet = spawn([] { return std::string("text"); });
  EXPECT_EQ(greenlet.value(), std::nullopt);
  greenlet.join();
  EXPECT_EQ(greenlet.value(), "text");
  EXPECT_EQ(greenlet.value(), "text");
  auto killed = spawn([] { return 1; });
  killed.kill();
  EXPECT_EQ(killed.value(), std::nullopt);
  testing::internal::CaptureStderr();
  auto failed = spawn([]() -> int { throw std::runtime_error("text"); });
  failed.join();
  EXPECT_EQ(failed.value(), std::nullopt);
  captured_reports();
}

TEST(Take, MovesTheValueOut) {
  auto greenlet = spawn([] { return std::make_unique<int>(5); });
  EXPECT_EQ(*greenlet.take(), 5);
}

TEST(Take, ThrowsAsGet) {
  auto slow = spawn([] {
    sleep(1h);
    return 1;
  });
  EXPECT_THROW(slow.take(1ms), TimeoutError);
  EXPECT_THROW(slow.take(0s), TimeoutError);
  slow.kill();
  EXPECT_THROW(slow.take(), GreenletExit);
}

TEST(Take, AKilledTakerLeavesTheGreenletAlone) {
  Event gate;
  auto target = spawn([&] {
    gate.wait();
    return 5;
  });
  auto taker = spawn([&] { target.take(); });
  yield();
  taker.kill();
  gate.set();
  EXPECT_EQ(target.take(), 5);
}

TEST(Take, TakesIfTheGreenletEndsBeforeTheTimedOutTakerRuns) {
  Event gate;
  auto target = spawn([&] {
    gate.wait();
    return 5;
  });
  auto taker = spawn([&] { return target.take(1h); });
  yield();
  gate.set();
  taker.task().hub->end_park(taker.task(), detail::ParkResult::expired);
  EXPECT_EQ(taker.get(), 5);
}

// What is spawned: the tutorials' subclass of Greenlet is a class that can be called.

struct Countdown {
  int left;
  std::unique_ptr<std::string> out = std::make_unique<std::string>();
  std::string operator()(int step) {
    for (; left > 0; left -= step) {
      out->append(std::to_string(left));
      yield();
    }
    return *out;
  }
};

TEST(Spawn, TakesAnObjectWithState) {
  auto greenlet = spawn(Countdown{3}, 1);
  EXPECT_EQ(greenlet.get(), "321");
  EXPECT_EQ(Greenlet<>::spawn(Countdown{4}, 2).get(), "42");
}

TEST(Spawn, OlderNamesMeanTheSame) {
  auto greenlet = green::timer(1ms, [] { return 5; });
  EXPECT_TRUE(green::join(greenlet));
  EXPECT_EQ(greenlet.get(), 5);
  green::sleep(0ms);
}

// Joining by a timeout that was started: it is thrown, and says whose it is.
TEST(Join, IsLeftByATimeoutThatWasStartedBefore) {
  auto slow = spawn([] { sleep(1h); });
  const Timeout timer(1ms);
  try {
    slow.join();
    ADD_FAILURE();
  } catch (const TimeoutError& error) {
    EXPECT_TRUE(timer.is_mine(error));
  }
  slow.kill();
}

}  // namespace
}  // namespace greenroom
