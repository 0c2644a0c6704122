// Kills in their turn: green::kill and killall. gevent test__greenletset.
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/trace/report_writer.h"
#include "greenroom/testkit/testkit.h"

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

std::string captured_reports() {
  detail::wait_for_reports();
  return testing::internal::GetCapturedStderr();
}

struct Unusual {};
std::exception_ptr unusual() { return std::make_exception_ptr(Unusual()); }

// Sleeps on after each kill, until the gate is open.
void survive(Event& gate, int& hits) {
  while (!gate.is_set()) {
    try {
      gate.wait();
    } catch (const GreenletExit&) {
      ++hits;
    }
  }
}

// kill: the place.

TEST(Kill, ThrowsBehindThoseWhoAreReadyAndItsKillerGoesOnRightBehind) {
  std::string out;
  auto victim = spawn([&] {
    try {
      sleep(1h);
    } catch (const GreenletExit&) {
      out += "killed ";
      throw;
    }
  });
  yield();
  spawn([&] { out += "ready "; });
  spawn([&] {
    victim.kill();
    out += "killer ";
  });
  spawn([&] {
    out += "before ";
    yield();
    out += "behind ";
  });
  for (int i = 0; i < 4; ++i) yield();
  EXPECT_EQ(out, "ready before killed killer behind ");
}

TEST(Kill, FindsOneThatYieldsWhereverItIsThen) {
  std::string out;
  auto victim = spawn([&] {
    try {
      for (;;) {
        out += "runs ";
        yield();
      }
    } catch (const GreenletExit&) {
      out += "killed ";
    }
  });
  yield();
  auto killer = spawn([&] {
    victim.kill();
    out += "killer ";
  });
  spawn([&] { out += "other "; });
  killer.join();
  EXPECT_EQ(out, "runs runs other runs killed killer ");
}

// gevent test__issue330: the wake that was on its way goes to nobody.
TEST(Kill, OneThatIsWokenAfterTheKillWasSentDoesNotSeeTheWake) {
  std::string out;
  Event event;
  auto victim = spawn([&] {
    try {
      event.wait();
      out += "woken ";
    } catch (const GreenletExit&) {
      out += "killed ";
    }
  });
  yield();
  green::kill(victim);
  event.set();
  victim.join();
  EXPECT_EQ(out, "killed ");
}

TEST(Kill, APermitThatWasOnItsWayToTheKilledGoesToTheNext) {
  green::Semaphore semaphore(0);
  auto victim = spawn([&] { semaphore.acquire(); });
  auto next = spawn([&] { return semaphore.acquire(1h); });
  yield();
  green::kill(victim);
  semaphore.release();
  EXPECT_TRUE(next.get());
}

TEST(Kill, OneThatHasNotStartedEndsAtOnceAndTheKillerGoesOn) {
  std::string out;
  auto shared = std::make_shared<int>();
  auto fresh = spawn([&out, shared] { out += "runs "; });
  auto later = spawn_later(1ms, [&out, shared] { out += "runs "; });
  spawn([&] { out += "other "; });
  fresh.kill();
  later.kill();
  EXPECT_TRUE(fresh.ready());
  EXPECT_TRUE(later.ready());
  EXPECT_EQ(out, "") << "nobody else has run meanwhile";
  EXPECT_EQ(shared.use_count(), 1) << "what it was given is gone";
  sleep(2ms);
  EXPECT_EQ(out, "other ");
}

TEST(Kill, ADestructorOfOneThatHasNotStartedMayBlock) {
  struct Blocking {
    explicit Blocking(Event& gate) : event(&gate) {}
    Blocking(Blocking&& other) noexcept : event(std::exchange(other.event, nullptr)) {}
    ~Blocking() {
      if (event) event->wait();
    }
    Event* event;
  };
  Event gate;
  auto fresh = spawn([](const Blocking&) {}, Blocking(gate));
  auto killer = spawn([&] { fresh.kill(); });
  auto opener = spawn([&] {
    yield();
    yield();
    gate.set();
  });
  fresh.kill();
  EXPECT_TRUE(gate.is_set());
  joinall({killer, opener});
}

TEST(Kill, TheFunctionTellsAndDoesNotWait) {
  auto victim = spawn([] { sleep(1h); });
  yield();
  green::kill(victim, unusual());
  EXPECT_FALSE(victim.ready());
  testing::internal::CaptureStderr();
  yield();
  captured_reports();
  EXPECT_TRUE(victim.ready());
  EXPECT_THROW(victim.get(), Unusual);
}

TEST(Kill, TheFunctionMayBeCalledInHubWork) {
  auto victim = spawn([] { sleep(1h); });
  yield();
  auto fresh = spawn([] {});
  green::get_hub().post([&] { green::kill({victim, fresh}); });
  EXPECT_TRUE(victim.join());
  EXPECT_TRUE(fresh.join());
}

TEST(Kill, OfItselfIsThrownAtItsNextSuspensionPointByTheFunction) {
  std::string out;
  auto self = spawn([&] {
    green::kill(green::getcurrent());
    out += "goes on ";
    try {
      sleep(1h);
    } catch (const GreenletExit&) {
      out += "killed";
    }
  });
  self.join();
  EXPECT_EQ(out, "goes on killed");
}

// killall.

// gevent test__greenletset: test_killall_iterable_argument_timeout_started.
TEST(Killall, ThrowsTimeoutErrorIfSomeHaveNotEndedInTime) {
  Event gate;
  int hits = 0;
  auto survivor = spawn([&] { survive(gate, hits); });
  auto mortal = spawn([] { sleep(1h); });
  yield();
  EXPECT_THROW(killall({survivor, mortal}, {}, 1ms), TimeoutError);
  EXPECT_TRUE(mortal.ready());
  EXPECT_FALSE(survivor.ready());
  EXPECT_EQ(hits, 1);
  gate.set();
  survivor.join();
}

// gevent test__greenletset: test_killall_iterable_argument_timeout_not_started.
TEST(Killall, EndsThoseThatHaveNotStartedAtOnceEvenIfItDoesNotWait) {
  bool ran = false;
  const std::vector<Greenlet<int>> fresh{spawn([&] { return ran = true, 1; }),
                                         spawn_later(0s, [&] { return ran = true, 2; })};
  killall(fresh, {}, 0s);
  EXPECT_TRUE(fresh[0].ready() && fresh[1].ready());
  yield();
  EXPECT_FALSE(ran);
}

TEST(Killall, ThatDoesNotWaitTellsAllBeforeItThrows) {
  auto victim = spawn([] { sleep(1h); });
  yield();
  EXPECT_THROW(killall({victim}, {}, 0s), TimeoutError);
  EXPECT_TRUE(victim.join());
}

TEST(Killall, HitsEachOnceAndAllInOneTurn) {
  std::string out;
  auto body = [&](std::string name) {
    try {
      sleep(1h);
    } catch (const GreenletExit&) {
      out += name + " ";
      yield();
      out += name + "-ends ";
    }
  };
  const std::vector<Greenlet<>> all{spawn(body, "a"), spawn(body, "b")};
  yield();
  spawn([&] { out += "ready "; });
  killall({all[0], all[1], all[0]});
  EXPECT_EQ(out, "ready a b a-ends b-ends ");
}

TEST(Killall, AnErrorOfOneDoesNotStopTheOthers) {
  auto fails = spawn([] {
    try {
      sleep(1h);
    } catch (const GreenletExit&) {
      throw std::runtime_error("instead");
    }
  });
  auto mortal = spawn([] { sleep(1h); });
  yield();
  testing::internal::CaptureStderr();
  killall({fails, mortal});
  captured_reports();
  EXPECT_TRUE(fails.ready() && mortal.ready());
  EXPECT_THROW(fails.get(), std::runtime_error);
}

TEST(Killall, GivesItsExceptionToThoseThatHaveNotStarted) {
  auto fresh = spawn([] {});
  testing::internal::CaptureStderr();
  killall({fresh}, unusual());
  captured_reports();
  EXPECT_THROW(fresh.get(), Unusual);
}

TEST(Killall, OfNoneReturnsAtOnce) { killall({}); }

TEST(Killall, TakesAnyRange) {
  const std::vector<Greenlet<int>> all{spawn([] { return 1; }), spawn([] { return 2; })};
  killall(all);
  EXPECT_TRUE(all[0].ready() && all[1].ready());
}

TEST(Killall, AKillerThatIsKilledLeavesTheKillsStanding) {
  auto victim = spawn([] { sleep(1h); });
  yield();
  auto killer = spawn([&] { killall({victim}); });
  yield();  // the turn of the kills is behind this greenlet
  killer.kill();
  EXPECT_TRUE(victim.join());
  EXPECT_TRUE(killer.successful());
}

TEST(Killall, ReturnsIfTheLastEndsBeforeTheTimedOutKillerRuns) {
  Event gate;
  auto victim = spawn([&] {
    const Uncancellable held_off;
    gate.wait();
  });
  auto killer = spawn([&] { killall({victim}, {}, 1h); });
  yield();
  yield();
  gate.set();  // the victim is ready first
  killer.task().hub->end_park(killer.task(), detail::ParkResult::expired);
  killer.join();
  EXPECT_EQ(killer.exception(), nullptr);
}

TEST(Killall, ReachesGreenletsOfAnotherThread) {
  const Hold hold = green::get_hub().hold();
  Event is_there;
  Greenlet<> there;
  std::thread thread([&] {
    const Hold other = green::get_hub().hold();
    there = spawn([] { sleep(1h); });
    yield();
    is_there.set();
    there.join();
  });
  is_there.wait();
  auto here = spawn([] { sleep(1h); });
  yield();
  killall({there, here});
  EXPECT_TRUE(there.ready() && here.ready());
  thread.join();
}

TEST(Killall, IsOfThoseInTheListWhenItWasCalled) {
  testkit::simulate({}, [] {
    std::vector<Greenlet<>> list;
    list.push_back(spawn([&] {
      try {
        sleep(1h);
      } catch (const GreenletExit&) {
        list.push_back(spawn([] { sleep(1ms); }));
        throw;
      }
    }));
    yield();
    killall(list);
    EXPECT_FALSE(list.back().ready());
    list.back().join();
  });
}

// Its destructor parks: who joins must not go on before it is done, whoever else kills it
// meanwhile.
TEST(Kill, OneThatHasNotStartedHasEndedWhenItsCallableIsGone) {
  struct Slow {
    explicit Slow(bool& flag) : is_gone(&flag) {}
    Slow(Slow&& other) noexcept : is_gone(std::exchange(other.is_gone, nullptr)) {}
    ~Slow() {
      if (!is_gone) return;
      yield();
      yield();
      *is_gone = true;
    }
    bool* is_gone;
  };
  bool is_gone = false;
  std::vector<Greenlet<>> others;
  const auto expect_gone = [&] { EXPECT_TRUE(is_gone); };
  Greenlet<> target;
  others.push_back(spawn([&] { target.join(), expect_gone(); }));
  others.push_back(spawn([&] { target.kill(), expect_gone(); }));
  others.push_back(spawn([&] { target.kill(), expect_gone(); }));
  target = spawn([slow = Slow(is_gone)] { ADD_FAILURE() << "it was killed before it ran"; });
  joinall(others);
  EXPECT_TRUE(target.ready());
}

}  // namespace
}  // namespace greenroom
