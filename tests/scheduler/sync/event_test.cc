#include "greenroom/scheduler/sync/event.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
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
using green::joinall;
using green::spawn;

using Log = std::vector<std::string>;

TEST(Event, WaitReturnsAtOnceIfItIsSetAndElseWaits) {
  Event event;
  auto waiting = spawn([&] { return event.wait(); });
  yield();
  EXPECT_FALSE(waiting.ready());
  event.set();
  EXPECT_TRUE(waiting.get());
  EXPECT_TRUE(event.is_set());
  EXPECT_TRUE(event.wait());
  event.clear();
  EXPECT_FALSE(event.is_set());
}

TEST(Event, WaitIsFalseWhenItsTimeIsOver) {
  Event event;
  EXPECT_FALSE(event.wait(1ms));
  EXPECT_FALSE(event.wait(0s));
}

TEST(Event, AKilledWaiterLeavesTheOthers) {
  Event event;
  auto victim = spawn([&] { event.wait(); });
  auto other = spawn([&] { return event.wait(); });
  yield();
  victim.kill();
  event.set();
  EXPECT_TRUE(other.get());
}

TEST(Event, WaitGoesOnIfTheTimeoutThatHasFiredIsCancelledBeforeItsGreenletRuns) {
  Event event;
  Timeout* timeout = nullptr;
  const auto canceller = spawn([&] {
    sleep(1ms);
    timeout->cancel();
  });
  const auto waiter = spawn([&] {
    Timeout soon(2ms);
    timeout = &soon;
    return event.wait();
  });
  yield();
  // Both are due when the hub looks again, the canceller first.
  const auto end = clock::now() + 3ms;
  while (clock::now() < end) {
  }
  canceller.join();
  yield();
  EXPECT_FALSE(waiter.ready());
  event.set();
  EXPECT_TRUE(waiter.get());
}

TEST(Event, WaitIsTrueIfItIsSetBeforeTheTimedOutWaiterRuns) {
  Event event;
  auto late = spawn([&] { return event.wait(1h); });
  yield();
  late.task().hub->end_park(late.task(), detail::ParkResult::expired);
  event.set();
  EXPECT_TRUE(late.get());
}

// gevent test__event: TestEvent_SetThenClear, with 1, 100 and 1000 waiters.
class EventSetThenClear : public testing::TestWithParam<int> {};

TEST_P(EventSetThenClear, WakesAllWhoWaitedAtThatTime) {
  Event event;
  std::vector<Greenlet<>> waiters;
  int woken = 0;
  waiters.reserve(static_cast<std::size_t>(GetParam()));
  for (int i = 0; i < GetParam(); ++i)
    waiters.push_back(spawn([&] { woken += event.wait(1h) ? 1 : 0; }));
  yield();
  event.set();
  event.clear();
  auto too_late = spawn([&] { return event.wait(1ms); });
  joinall(waiters);
  EXPECT_EQ(woken, GetParam());
  EXPECT_FALSE(too_late.get());
}

INSTANTIATE_TEST_SUITE_P(Waiters, EventSetThenClear, testing::Values(1, 100, 1000));

TEST(Event, WakesInOrderOfArrival) {
  Event event;
  Log out;
  std::vector<Greenlet<>> waiters;
  for (const char* name : {"a", "b", "c"})
    waiters.push_back(spawn([&, name] {
      event.wait();
      out.push_back(name);
    }));
  yield();
  event.set();
  joinall(waiters);
  EXPECT_EQ(out, (Log{"a", "b", "c"}));
}

// gevent test__event: TestEventCrossThread.
// gevent test__event: test_wait_while_notifying.
TEST(Event, WhoFindsItSetBeforeItsWaitersHaveRunGoesOnBehindThem) {
  std::string out;
  Event event;
  auto wait = [&](std::string name) {
    return spawn([&, name] {
      event.wait();
      out += name + " ";
    });
  };
  wait("first");
  wait("second");
  yield();
  spawn([&] { event.set(); });
  wait("late");
  wait("later");
  auto last = spawn([&] {
    yield();
    out += "other ";
  });
  last.join();
  EXPECT_EQ(out, "first second late later other ");
  EXPECT_FALSE(event.has_links());
}

TEST(Event, WhoIsKilledBehindItsWaitersLeavesNothing) {
  Event event;
  auto waiter = spawn([&] { event.wait(); });
  yield();
  auto late = spawn([&] {
    event.set();
    event.wait();
    ADD_FAILURE();
  });
  auto killer = spawn(
      [&] { detail::throw_into(late.task(), std::make_exception_ptr(green::GreenletExit())); });
  green::joinall({waiter, late, killer});
  EXPECT_TRUE(event.wait());
}

TEST(Event, IsSetFromAnotherThreadForWaitersOfSeveralHubs) {
  Event event;
  const Hold hold = green::get_hub().hold();
  std::thread other_hub([&] {
    const Hold other_hold = green::get_hub().hold();
    EXPECT_TRUE(event.wait());
    EXPECT_TRUE(event.wait(1h));
  });
  std::thread setter([&] { event.set(); });  // has no hub
  EXPECT_TRUE(event.wait());
  other_hub.join();
  setter.join();
}

TEST(Event, TimeoutsAndSetsOfOtherThreadsMix) {
  const Hold hold = green::get_hub().hold();
  for (int i = 0; i < 200; ++i) {
    Event event;
    std::thread setter([&] { event.set(); });
    EXPECT_TRUE(event.wait(20us) || event.wait());
    setter.join();
  }
}

// AsyncResult.

TEST(AsyncResult, GivesItsValueToAllReaders) {
  AsyncResult<std::string> result;
  auto first = spawn([&] { return result.get(); });
  auto second = spawn([&] { return result.get(); });
  yield();
  EXPECT_FALSE(result.ready());
  result.set("value");
  EXPECT_EQ(first.get(), "value");
  EXPECT_EQ(second.get(), "value");
  EXPECT_TRUE(result.ready());
  EXPECT_TRUE(result.successful());
}

// gevent: get raises Timeout, wait returns None.
TEST(AsyncResult, GetThrowsAndWaitIsEmptyWhenTheTimeIsOver) {
  AsyncResult<int> result;
  EXPECT_THROW(result.get(1ms), TimeoutError);
  EXPECT_THROW(result.get(0s), TimeoutError);
  EXPECT_EQ(result.wait(1ms), std::nullopt);
  result.set(1);
  EXPECT_EQ(result.wait(1ms), std::optional<int>(1));
}

TEST(AsyncResult, AKilledReaderLeavesTheOthers) {
  AsyncResult<int> result;
  auto victim = spawn([&] { result.get(); });
  auto other = spawn([&] { return result.get(); });
  yield();
  victim.kill();
  result.set(2);
  EXPECT_EQ(other.get(), 2);
}

TEST(AsyncResult, GetHasTheValueThatCameBeforeTheTimedOutReaderRan) {
  AsyncResult<int> result;
  auto late = spawn([&] { return result.get(1h); });
  yield();
  late.task().hub->end_park(late.task(), detail::ParkResult::expired);
  result.set(3);
  EXPECT_EQ(late.get(), 3);
}

// gevent test__event: test_set_exc.
TEST(AsyncResult, RethrowsItsException) {
  AsyncResult<int> result;
  result.set_exception(std::make_exception_ptr(std::runtime_error("no")));
  EXPECT_THROW(result.get(), std::runtime_error);
  EXPECT_THROW(result.get(), std::runtime_error);
  EXPECT_TRUE(result.ready());
  EXPECT_FALSE(result.successful());
  EXPECT_EQ(result.wait(), std::nullopt);
}

// gevent: set twice overrides.
TEST(AsyncResult, ASecondValueIsWhatLaterReadersGet) {
  AsyncResult<int> result;
  result.set(1);
  result.set(2);
  EXPECT_EQ(result.get(), 2);
  result.set_exception(std::make_exception_ptr(std::runtime_error("no")));
  EXPECT_THROW(result.get(), std::runtime_error);
  result.set(3);
  EXPECT_EQ(result.get(), 3);
}

TEST(AsyncResult, OfVoidTellsThatItIsOver) {
  AsyncResult<> result;
  auto waiting = spawn([&] { result.get(); });
  EXPECT_FALSE(result.wait(1ms));
  result.set();
  waiting.get();
  EXPECT_TRUE(result.wait());
}

// Its destructor may ask the result.
TEST(AsyncResult, AValueThatIsReplacedIsDestroyedUnderNoLock) {
  AsyncResult<std::shared_ptr<void>> result;
  bool is_asked = false;
  result.set(std::shared_ptr<void>(&result, [&](void*) { is_asked = result.ready(); }));
  result.set(nullptr);
  EXPECT_TRUE(is_asked);
  EXPECT_TRUE(result.successful());
}

}  // namespace
}  // namespace greenroom
