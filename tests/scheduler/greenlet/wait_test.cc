// green::wait and iwait: several objects, whichever become ready first.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/green.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::AsyncResult;
using green::Event;
using green::Greenlet;
using green::iwait;
using green::Results;
using green::Semaphore;
using green::spawn;
using green::Waitable;

using Waitables = std::vector<Waitable>;

// gevent test__event: TestWait_count1, TestWait_count2.
TEST(Wait, ReturnsObjectsOfEveryKindInTheOrderInWhichTheyBecomeReady) {
  Event event;
  AsyncResult<int> result;
  Semaphore semaphore(0);
  auto last = spawn([&] {
    semaphore.release();
    result.set(1);
    event.set();
  });
  EXPECT_EQ(green::wait({event, last, result, semaphore}),
            (Waitables{semaphore, result, event, last}));
}

TEST(Wait, EndsWhenAsManyAsAskedForAreReady) {
  Event early;
  Event late;
  spawn([&] {
    early.set();
    yield();
    late.set();
  });
  EXPECT_EQ(green::wait({late, early}, {.count = 1}), Waitables{early});
  EXPECT_FALSE(late.is_set());
  EXPECT_FALSE(late.has_links());
  EXPECT_EQ(green::wait({late, early}, {.count = 7}), (Waitables{early, late}));
}

TEST(Wait, ReturnsThoseThatAreReadyWhenTheTimeIsOver) {
  Event ready;
  Event never;
  ready.set();
  EXPECT_EQ(green::wait({never, ready}, {.timeout = 1ms}), Waitables{ready});
  EXPECT_EQ(green::wait({never, ready}, {.timeout = 0s}), Waitables{ready});
  EXPECT_TRUE(green::wait({never}, {.timeout = 0s}).empty());
  EXPECT_FALSE(never.has_links());
}

TEST(Wait, OfNothingReturnsAtOnce) { EXPECT_TRUE(green::wait({}).empty()); }

// gevent test__event: test_gevent_wait_twice_when_already_set.
TEST(Wait, ReturnsWhatIsReadyAsOftenAsItIsAsked) {
  Event event;
  event.set();
  EXPECT_EQ(green::wait({event}), Waitables{event});
  EXPECT_EQ(green::wait({event}), Waitables{event});
}

TEST(Wait, CountsAnObjectThatIsGivenTwiceTwice) {
  Event event;
  spawn([&] { event.set(); });
  EXPECT_EQ(green::wait({event, event}), (Waitables{event, event}));
  auto greenlet = spawn([] {});
  EXPECT_EQ(green::wait({greenlet, greenlet}), (Waitables{greenlet, greenlet}));
}

TEST(Wait, AKillLeavesNothingOnTheObjects) {
  Event event;
  Semaphore semaphore(0);
  auto target = spawn([] { sleep(1h); });
  auto waiter = spawn([&] { green::wait({event, semaphore, target}); });
  yield();
  EXPECT_TRUE(event.has_links() && semaphore.has_links() && target.has_links());
  waiter.kill();
  EXPECT_FALSE(event.has_links() || semaphore.has_links() || target.has_links());
  target.kill();
}

TEST(Wait, TakesWhatBecomesReadyBeforeTheTimedOutWaiterRuns) {
  Event event;
  auto waiter = spawn([&] { return green::wait({event}, {.timeout = 1h}).size(); });
  yield();
  event.set();  // its turn is before the waiter's
  waiter.task().hub->end_park(waiter.task(), detail::ParkResult::expired);
  EXPECT_EQ(waiter.get(), 1u);
}

// gevent test__semaphore: test_rawlink_on_unacquired_runs_notifiers.
TEST(Wait, FindsAFreeSemaphoreReadyAndTakesNoPermit) {
  Semaphore semaphore(1);
  EXPECT_EQ(green::wait({semaphore}), Waitables{semaphore});
  EXPECT_EQ(semaphore.counter(), 1);
}

TEST(Wait, DoesNotTakeASemaphoreForReadyWhoseLastPermitIsGoneWhenItsTurnComes) {
  Semaphore semaphore(0);
  auto waiter = spawn([&] { green::wait({semaphore}); });
  yield();
  semaphore.release();
  EXPECT_TRUE(semaphore.try_acquire());
  for (int i = 0; i < 3; ++i) yield();
  EXPECT_FALSE(waiter.ready());
  EXPECT_TRUE(semaphore.has_links());
  semaphore.release();
  EXPECT_TRUE(waiter.join());
}

TEST(Wait, CountsAnEventThatWasSetAndClearedMeanwhile) {
  Event event;
  auto waiter = spawn([&] { return green::wait({event}).size(); });
  yield();
  event.set();
  event.clear();
  EXPECT_EQ(waiter.get(), 1u);
}

TEST(Wait, SeesGreenletsAndEventsOfOtherThreads) {
  const Hold hold = green::get_hub().hold();
  Event event;
  Event is_there;
  Greenlet<int> greenlet;
  std::thread thread([&] {
    const Hold other = green::get_hub().hold();
    Event gate;
    greenlet = spawn([&] {
      gate.wait();
      return 5;
    });
    is_there.set();
    event.set();
    spawn([&] { gate.set(); });
    greenlet.join();
  });
  is_there.wait();
  EXPECT_EQ(green::wait({greenlet, event}).size(), 2u);
  EXPECT_EQ(greenlet.get(), 5);
  thread.join();
  EXPECT_EQ(green::wait({greenlet}), Waitables{greenlet}) << "its hub is gone";
}

// A thread that waits for a greenlet of another gives up before it ends.
TEST(Wait, LeavesNothingOnAGreenletOfAnotherThread) {
  const Hold hold = green::get_hub().hold();
  Event gate;
  Event has_given_up;
  auto target = spawn([&] { gate.wait(); });
  std::thread thread([&] {
    EXPECT_TRUE(green::wait({target}, {.timeout = 1ms}).empty());
    has_given_up.set();
  });
  has_given_up.wait();
  thread.join();
  yield();
  EXPECT_FALSE(target.has_links());
  gate.set();
  EXPECT_TRUE(target.join());
}

TEST(Wait, InHubWorkThrows) {
  Event event;
  event.set();
  bool has_thrown = false;
  green::get_hub().post([&] {
    try {
      green::wait({event});
    } catch (const std::logic_error&) {
      has_thrown = true;
    }
  });
  sleep(1ms);
  EXPECT_TRUE(has_thrown);
}

// iwait.

TEST(Iwait, GivesEachInTheTurnInWhichItBecomesReady) {
  std::string out;
  auto a = spawn([] {
    for (int i = 0; i < 3; ++i) yield();
  });
  auto b = spawn([] {});
  for (const Waitable& ready : iwait({a, b})) {
    out += ready == a ? "a" : "b";
    out += a.ready() ? "+" : "-";
  }
  EXPECT_EQ(out, "b-a+");
}

// As in gevent, each has its own place: what was ready between two ends runs between them.
TEST(Iwait, RunsWhatIsReadyBetweenTwoEndsBetweenThem) {
  std::string out;
  auto reader = spawn(
      [&](std::vector<Waitable> objects) {
        for (const Waitable& ready : iwait(std::move(objects))) {
          static_cast<void>(ready);
          out += "ready ";
        }
      },
      Waitables{spawn([&] { out += "a "; }), spawn([&] { out += "b "; })});
  spawn([&] { out += "c "; });
  // The two end before the reader links, so their turns come one behind the other.
  reader.join();
  EXPECT_EQ(out, "a b c ready ready ");

  out.clear();
  Event first;
  Event second;
  reader = spawn([&] {
    for (const Waitable& ready : iwait({first, second}))
      out += ready == first ? "first " : "second ";
  });
  yield();
  first.set();
  spawn([&] { out += "between "; });
  second.set();
  reader.join();
  EXPECT_EQ(out, "first between second ");
}

// gevent test__iwait: test_iwait_partial.
TEST(Iwait, ThatIsDroppedLeavesNothingOnTheObjects) {
  Event ready;
  Event never;
  ready.set();
  auto sleeper = spawn([] { sleep(1h); });
  {
    Results<Waitable> results = iwait({never, sleeper, ready});
    EXPECT_FALSE(never.has_links()) << "it has not begun";
    EXPECT_EQ(results.next(), Waitable(ready));
    EXPECT_TRUE(never.has_links());
    EXPECT_TRUE(sleeper.has_links());
  }
  EXPECT_FALSE(never.has_links());
  EXPECT_FALSE(sleeper.has_links());
  sleeper.kill();
}

TEST(Iwait, EndsWhenTheTimeIsOver) {
  Event never;
  Results<Waitable> results = iwait({never}, {.timeout = 1ms});
  EXPECT_EQ(results.next(), std::nullopt);
  EXPECT_EQ(results.next(), std::nullopt);
  EXPECT_FALSE(never.has_links());
}

TEST(Iwait, GoesOnAfterAWaitForOneThatWasOver) {
  Event event;
  Results<Waitable> results = iwait({event});
  EXPECT_THROW(results.next(1ms), TimeoutError);
  EXPECT_THROW(results.next(0s), TimeoutError);
  event.set();
  EXPECT_EQ(results.next(0s), Waitable(event)) << "a call that does not wait takes what is there";
  EXPECT_EQ(results.next(), std::nullopt);
}

TEST(Iwait, GoesOnAfterATimeoutOfItsReaderThatWasCaught) {
  Event event;
  Results<Waitable> results = iwait({event});
  EXPECT_FALSE(try_for(1ms, [&] { return results.next(); }).has_value());
  event.set();
  EXPECT_EQ(results.next(), Waitable(event));
}

// gevent 1.1: the reader may switch between two results.
TEST(Iwait, KeepsWhatBecomesReadyWhileItsReaderIsElsewhere) {
  Event a;
  Event b;
  Results<Waitable> results = iwait({a, b});
  a.set();
  EXPECT_EQ(results.next(), Waitable(a));
  b.set();
  sleep(1ms);
  EXPECT_EQ(results.next(), Waitable(b));
}

TEST(Iwait, AKilledReaderLeavesNothingOnTheObjects) {
  Event never;
  auto reader = spawn([&] { iwait({never}).next(); });
  yield();
  EXPECT_TRUE(never.has_links());
  reader.kill();
  EXPECT_FALSE(never.has_links());
}

TEST(Wait, TakesAnyRangeOfGreenlets) {
  std::vector<Greenlet<int>> numbers{spawn([] { return 1; }), spawn([] { return 2; })};
  const std::vector<Waitable> ready = green::wait(numbers);
  ASSERT_EQ(ready.size(), 2U);
  EXPECT_EQ(ready[0], numbers[0]);
  EXPECT_EQ(green::wait(std::vector<Greenlet<>>{numbers[0]}).size(), 1U);
  int count = 0;
  for (const Waitable& each : green::iwait(numbers)) count += each.ready() ? 1 : 0;
  EXPECT_EQ(count, 2);
  std::vector<Greenlet<int>> parked{spawn([] { return sleep(1h), 1; })};
  yield();
  green::kill(parked);
  EXPECT_TRUE(parked[0].join());
}

}  // namespace
}  // namespace greenroom
