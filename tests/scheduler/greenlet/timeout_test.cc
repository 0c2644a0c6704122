// Timeouts, try_for and deadlines. Over 400 lines: three forms of one thing, nested in one another.
#include "greenroom/scheduler/greenlet/timeout.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/hub/hub.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Event;
using green::spawn;

using Log = std::vector<std::string>;

// Timeout. gevent test__timeout.

TEST(Timeout, ThrowsFromAnyBlockingCallAndKnowsItsOwn) {
  Timeout timeout(1ms);
  try {
    sleep(1h);
    FAIL();
  } catch (const TimeoutError& error) {
    EXPECT_TRUE(timeout.is_mine(error));
    EXPECT_STREQ(error.what(), "timed out");
  }
}

TEST(Timeout, DoesNothingIfItsScopeEndsFirst) {
  { const Timeout timeout(1ms); }
  sleep(3ms);
}

// gevent: test_cancel.
TEST(Timeout, DoesNothingAfterCancel) {
  Timeout timeout(1ms);
  timeout.cancel();
  sleep(3ms);
}

TEST(Timeout, ThatHasFiredAndWasNotThrownIsForgottenByCancel) {
  Timeout timeout(0ms);
  {
    const Uncancellable uncancellable;
    sleep(1ms);
  }
  timeout.cancel();
  sleep(1ms);
}

// Runs `blocking` in a greenlet under a Timeout that fires and is then cancelled by somebody who
// has his turn before it. True if it has not returned by then.
template <class F>
bool goes_on_after_a_late_cancel(F blocking) {
  Timeout* timeout = nullptr;
  const auto canceller = spawn([&] {
    sleep(1ms);
    const detail::TimerWheel& timers = green::get_hub().timers();
    const std::size_t armed = timers.size();
    timeout->cancel();
    EXPECT_EQ(timers.size(), armed) << "it had not fired yet";
  });
  const auto blocked = spawn([&] {
    Timeout soon(2ms);
    timeout = &soon;
    blocking();
  });
  yield();
  const auto end = clock::now() + 3ms;  // both are due when the hub looks again
  while (clock::now() < end) {
  }
  canceller.join();
  yield();
  const bool goes_on = !blocked.ready();
  blocked.kill();
  return goes_on;
}

TEST(Timeout, ThatIsCancelledAfterItHasFiredLetsACallGoOn) {
  EXPECT_TRUE(goes_on_after_a_late_cancel([] { sleep(1h); }));
  const auto other = spawn([] { sleep(1h); });
  EXPECT_TRUE(goes_on_after_a_late_cancel([&] { other.join(); }));
  other.kill();
}

TEST(Timeout, IsThrownOnce) {
  const Timeout timeout(1ms);
  EXPECT_THROW(sleep(1h), TimeoutError);
  sleep(1ms);
  yield();
}

// gevent: Timeout(0) fires on the next turn of the loop, not in the constructor.
TEST(Timeout, OfZeroFiresAtTheNextTurnOfTheHub) {
  const Timeout timeout(0s);
  EXPECT_THROW(sleep(1h), TimeoutError);
  const Timeout negative(-1s);
  EXPECT_THROW(sleep(1h), TimeoutError);
}

// gevent: a handler around the inner one may see the outer one's error: compare identities.
TEST(Timeout, AnOuterOneThatIsShorterComesThroughTheInner) {
  Timeout outer(1ms);
  Timeout inner(1h);
  try {
    sleep(2h);
    FAIL();
  } catch (const TimeoutError& error) {
    EXPECT_TRUE(outer.is_mine(error));
    EXPECT_FALSE(inner.is_mine(error));
  }
}

// gevent: equal times fire in the order of starting.
TEST(Timeout, SeveralThatAreDueComeInTheOrderOfTheirDeadlines) {
  Timeout second(2ms);
  Timeout first(1ms);
  Log out;
  {
    const Uncancellable uncancellable;
    sleep(4ms);
  }
  for (int i = 0; i < 2; ++i) {
    try {
      yield();
    } catch (const TimeoutError& error) {
      out.push_back(first.is_mine(error) ? "first" : second.is_mine(error) ? "second" : "?");
    }
  }
  EXPECT_EQ(out, (Log{"first", "second"}));
}

// gevent's tie: Timeout(10) armed first wins over the join of sleep(10).
TEST(Timeout, ArmedBeforeASleepOfTheSameLengthWins) {
  Timeout timeout(2ms);
  EXPECT_THROW(spawn([] { sleep(2ms); }).join(), TimeoutError);
}

TEST(Timeout, HitsTheGreenletThatMadeIt) {
  auto timed = spawn([] {
    const Timeout timeout(1ms);
    sleep(1h);
  });
  auto other = spawn([] { sleep(3ms); });
  EXPECT_THROW(timed.get(), TimeoutError);
  other.get();
}

TEST(Timeout, AWakeThatCameFirstIsNotLost) {
  Event event;
  bool was_woken = false;
  bool timed_out = false;
  auto greenlet = spawn([&] {
    const Timeout timeout(1ms);
    was_woken = event.wait();
    try {
      sleep(1h);
    } catch (const TimeoutError&) {
      timed_out = true;
    }
  });
  yield();
  event.set();
  greenlet.join();
  EXPECT_TRUE(was_woken);
  EXPECT_TRUE(timed_out);
}

// gevent test__exc_info: a timeout while another exception is handled.
TEST(Timeout, InAHandlerLeavesTheHandledExceptionAlone) {
  try {
    throw std::runtime_error("handled");
  } catch (const std::runtime_error&) {
    EXPECT_FALSE(try_for(1ms, [] { sleep(1h); }));
    try {
      throw;
    } catch (const std::runtime_error& again) {
      EXPECT_STREQ(again.what(), "handled");
    }
  }
}

TEST(Timeout, StaysPendingWhileAnotherExceptionUnwinds) {
  struct Sleeps {
    ~Sleeps() { sleep(3ms); }
  };
  Timeout timeout(1ms);
  bool saw_error = false;
  try {
    const Sleeps sleeps;
    throw std::runtime_error("unwinds");
  } catch (const std::runtime_error&) {
    saw_error = true;
  }
  EXPECT_TRUE(saw_error);
  EXPECT_THROW(yield(), TimeoutError);
}

TEST(Timeout, AndAKillComeOneAfterTheOther) {
  Log out;
  auto greenlet = spawn([&] {
    const Timeout timeout(0s);
    for (int i = 0; i < 2; ++i) {
      try {
        sleep(1h);
      } catch (const TimeoutError&) {
        out.push_back("timeout");
      } catch (const green::GreenletExit&) {
        out.push_back("kill");
      }
    }
  });
  sleep(1ms);
  greenlet.kill();
  EXPECT_EQ(out, (Log{"timeout", "kill"}));
}

// gevent: a started timeout that nobody holds stays armed.
TEST(Timeout, StartedDetachedFiresWithoutAHandle) {
  auto greenlet = spawn([] {
    Timeout::start_detached(1ms);
    sleep(1h);
  });
  EXPECT_THROW(greenlet.get(), TimeoutError);
}

TEST(Timeout, StartedDetachedMayBeCancelledByItsGreenletAlone) {
  const TimerRef ref = Timeout::start_detached(1h);
  EXPECT_TRUE(detail::is_detached(ref));
  EXPECT_EQ(spawn([ref] { return detail::cancel_detached(ref); }).get(), std::nullopt);
  const auto left = detail::cancel_detached(ref);
  ASSERT_TRUE(left);
  EXPECT_GT(*left, 0ns);
  EXPECT_LE(*left, 1h);
  EXPECT_EQ(detail::cancel_detached(ref), std::nullopt);
  // What was cancelled does not fire.
  EXPECT_TRUE(detail::cancel_detached(Timeout::start_detached(1ms)));
  sleep(3ms);
}

TEST(Timeout, StartedDetachedAreForgottenOnceTheyHaveFired) {
  for (int i = 0; i < 100; ++i) {
    Timeout::start_detached(0ms);
    EXPECT_THROW(sleep(1h), TimeoutError);
  }
  EXPECT_LE(green::get_hub().current_task()->interrupts->detached.size(), 1U);
}

TEST(Timeout, StartedDetachedEndsWithItsGreenlet) {
  spawn([] { Timeout::start_detached(1ms); }).get();
  sleep(3ms);
}

// try_for. gevent test__timeout: test_with_timeout.

TEST(TryFor, ReturnsTheResultOrNothing) {
  EXPECT_EQ(try_for(1h, [] { return 5; }), std::optional<int>(5));
  EXPECT_EQ(try_for(1ms,
                    [] {
                      sleep(1h);
                      return 5;
                    }),
            std::nullopt);
  EXPECT_TRUE(try_for(1h, [] {}));
  EXPECT_FALSE(try_for(1ms, [] { sleep(1h); }));
}

TEST(TryFor, LetsOtherTimeoutsAndExceptionsThrough) {
  Timeout outer(1ms);
  try {
    try_for(1h, [] { sleep(2h); });
    FAIL();
  } catch (const TimeoutError& error) {
    EXPECT_TRUE(outer.is_mine(error));
  }
  EXPECT_THROW(try_for(1h, [] { throw std::runtime_error("other"); }), std::runtime_error);
}

// with_deadline.

TEST(WithDeadline, BoundsEveryBlockingCallUnderIt) {
  int errors = 0;
  with_deadline(1ms, [&] {
    for (int i = 0; i < 3; ++i) {
      try {
        sleep(1h);
      } catch (const TimeoutError&) {
        ++errors;
      }
    }
  });
  EXPECT_EQ(errors, 3);
  sleep(1ms);
}

TEST(WithDeadline, TheNearestOfNestedOnesCounts) {
  EXPECT_THROW(with_deadline(1ms, [] { with_deadline(1h, [] { sleep(2h); }); }), TimeoutError);
  with_deadline(1h, [] { EXPECT_THROW(with_deadline(1ms, [] { sleep(2h); }), TimeoutError); });
}

TEST(WithDeadline, OfAnInnerScopeEndsWithIt) {
  with_deadline(1h, [] {
    EXPECT_THROW(with_deadline(1ms, [] { sleep(2h); }), TimeoutError);
    sleep(1ms);
  });
}

TEST(WithDeadline, ForeverIsNoDeadline) {
  EXPECT_EQ(with_deadline(Wait::forever(),
                          [] {
                            sleep(1ms);
                            return 3;
                          }),
            3);
}

TEST(WithDeadline, TakesATimePoint) {
  EXPECT_THROW(with_deadline(clock::now() + 1ms, [] { sleep(1h); }), TimeoutError);
}

// Uncancellable.

TEST(Uncancellable, HoldsATimeoutOffUntilItEnds) {
  bool finished = false;
  EXPECT_FALSE(try_for(1ms, [&] {
    {
      const Uncancellable outer;
      {
        const Uncancellable inner;
        sleep(3ms);
      }
      sleep(1ms);
      finished = true;
    }
    yield();
    ADD_FAILURE();
  }));
  EXPECT_TRUE(finished);
}

// Wait.

TEST(Wait, DurationsBeyondTheClockMeanForEver) {
  Event event;
  event.set();
  EXPECT_TRUE(event.wait(std::chrono::hours::max()));
  auto waiting = spawn([] { return Event().wait(std::chrono::hours::max()); });
  yield();
  EXPECT_EQ(waiting.task().park->deadline, detail::no_deadline);
  waiting.kill();
}

TEST(Wait, AZeroOrNegativeOnePollsAndDoesNotPark) {
  Event event;
  EXPECT_FALSE(event.wait(0s));
  EXPECT_FALSE(event.wait(-1s));
  EXPECT_FALSE(event.wait(clock::now() - 1s));
}

// gevent: sleep(-1) returns, as sleep(0).
TEST(Sleep, OfZeroOrLessYields) {
  Log out;
  auto other = spawn([&] { out.push_back("other"); });
  sleep(0s);
  out.push_back("self");
  sleep(-1s);
  other.join();
  EXPECT_EQ(out, (Log{"other", "self"}));
}

TEST(Sleep, EndsInTheOrderOfTheDeadlines) {
  Log out;
  auto body = [&](std::string name, std::chrono::milliseconds time) {
    sleep(time);
    out.push_back(name);
  };
  green::joinall({spawn(body, "late", 5ms), spawn(body, "early", 1ms), spawn(body, "middle", 3ms)});
  EXPECT_EQ(out, (Log{"early", "middle", "late"}));
}

TEST(Sleep, MayBeKilled) {
  auto sleeper = spawn([] { sleep(1h); });
  yield();
  sleeper.kill();
  EXPECT_TRUE(sleeper.ready());
}

// On the wall clock: a simulation's stands still while something is computed.
TEST(Timeout, ALongComputationBeforeItsStartDoesNotShortenIt) {
  yield();
  const auto begin = clock::now();
  while (clock::now() - begin < 20ms) {
  }
  const auto armed = clock::now();
  const Timeout timeout(10ms);
  EXPECT_THROW(green::Event().wait(), TimeoutError);
  EXPECT_GE(clock::now() - armed, 10ms);
}

TEST(Timeout, MayBeThrownByHand) {
  try {
    throw TimeoutError();
  } catch (const TimeoutError& error) {
    const Timeout other(1h);
    EXPECT_FALSE(other.is_mine(error));
  }
}

}  // namespace
}  // namespace greenroom
