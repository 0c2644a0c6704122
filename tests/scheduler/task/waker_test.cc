// Waker and Waiting: a wake ends the wait that it was meant for, and no other.
#include "greenroom/scheduler/task/waker.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using detail::ParkResult;
using detail::Waiting;
using detail::Waker;

detail::Task& current_task() { return *Hub::current().current_task(); }

// A wake that another hub has posted arrives like this: as hub work, in its own time.
void post_wake(Waker waker) {
  Hub::current().post([waker] { waker.wake(); });
}

// A primitive, and so a function of its own: see park().
[[gnu::noinline]] ParkResult park_with_wake_under_way(detail::Task& self) {
  const Waiting waiting(self);
  post_wake(waiting.waker());
  return detail::park("test");
}

// One that believes every wake.
[[gnu::noinline]] ParkResult park_for(std::chrono::nanoseconds duration) {
  return detail::park("test", detail::now_nanoseconds() + duration.count());
}

std::chrono::nanoseconds time_of_sleep(std::chrono::nanoseconds duration) {
  const auto before = clock::now();
  greenroom::sleep(duration);
  return clock::now() - before;
}

TEST(Waker, ThatIsUnderWayWhenItsWaitIsGivenUpDoesNotEndTheNextPark) {
  testkit::simulate({}, [] {
    { post_wake(Waiting(current_task()).waker()); }
    EXPECT_EQ(park_for(1ms), ParkResult::expired);
    { post_wake(Waiting(current_task()).waker()); }
    EXPECT_EQ(time_of_sleep(1ms), 1ms);
    green::Event never;
    { post_wake(Waiting(current_task()).waker()); }
    EXPECT_FALSE(never.wait(1ms));
    green::Lock lock;
    const auto holder = green::spawn([&] {
      lock.lock();
      greenroom::sleep(1ms);
      lock.unlock();
    });
    yield();
    while (!lock.locked()) yield();
    { post_wake(Waiting(current_task()).waker()); }
    lock.lock();
    EXPECT_TRUE(holder.ready());
  });
}

TEST(Waker, ThatIsUnderWayWhenItsParkIsRefusedDoesNotEndTheNextPark) {
  testkit::simulate({}, [] {
    ParkResult result = ParkResult::woken;
    const auto greenlet = green::spawn([&] {
      detail::Task& self = current_task();
      // Something is pending: the park is refused, and the epoch stays to the Waiting's end.
      detail::throw_into(self, std::make_exception_ptr(std::string("pending")));
      EXPECT_EQ(park_with_wake_under_way(self), ParkResult::interrupted);
      try {
        detail::throw_pending();
        ADD_FAILURE() << "nothing was thrown";
      } catch (const std::string&) {
      }
      result = park_for(1ms);
    });
    greenlet.join();
    EXPECT_EQ(result, ParkResult::expired);
  });
}

TEST(Waker, IsRefusedByATaskThatIsNotParked) {
  yield();
  detail::Task& self = current_task();
  const Waiting running(self);
  EXPECT_FALSE(running.waker().wake());

  Waker of_ready;
  const auto ready = green::spawn([&] {
    const Waiting waiting(current_task());
    of_ready = waiting.waker();
    yield();
  });
  yield();
  ASSERT_EQ(ready.task().state, detail::TaskState::ready);
  EXPECT_FALSE(of_ready.wake());
  ready.join();
}

TEST(Waker, OfManyTheFirstWins) {
  Waker waker;
  ParkResult result = ParkResult::interrupted;
  const auto waiter = green::spawn([&] {
    const Waiting waiting(current_task());
    waker = waiting.waker();
    result = detail::park("test");
  });
  yield();
  EXPECT_TRUE(waker.wake(ParkResult::expired));
  EXPECT_FALSE(waker.wake(ParkResult::woken));
  waiter.join();
  EXPECT_EQ(result, ParkResult::expired);
  EXPECT_FALSE(waker.wake());
}

TEST(Waker, OfNobodyWakesNobody) { EXPECT_FALSE(Waker().wake()); }

}  // namespace
}  // namespace greenroom
