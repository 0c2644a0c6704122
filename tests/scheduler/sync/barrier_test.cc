// Barrier: all go on together.

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/sync/lock.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Barrier;
using green::BrokenBarrier;
using green::Greenlet;
using green::joinall;
using green::spawn;

using Log = std::vector<std::string>;

// As if its deadline had come: it is on its way out and has not run yet.
void expire(const Greenlet<>& greenlet) {
  greenlet.task().hub->end_park(greenlet.task(), detail::ParkResult::expired);
}

TEST(Barrier, LetsAllGoTogetherRoundAfterRound) {
  int rounds = 0;
  Barrier barrier(3, [&] { ++rounds; });
  Log out;
  auto body = [&](std::string name) {
    for (int round = 1; round <= 2; ++round) {
      const int index = barrier.wait();
      out.push_back(name + std::to_string(round) + ":" + std::to_string(index));
    }
  };
  joinall({spawn(body, "a"), spawn(body, "b"), spawn(body, "c")});
  EXPECT_EQ(rounds, 2);
  // The last to come goes on at once, and is the first of the next round.
  EXPECT_EQ(out, (Log{"c1:2", "a1:0", "b1:1", "b2:2", "c2:0", "a2:1"}));
  EXPECT_EQ(barrier.waiting(), 0);
}

TEST(Barrier, AWaitThatIsOverBreaksItForAll) {
  Barrier barrier(3);
  auto patient = spawn([&] { EXPECT_THROW(barrier.wait(), BrokenBarrier); });
  yield();
  EXPECT_THROW(barrier.wait(1ms), BrokenBarrier);
  patient.join();
  EXPECT_TRUE(barrier.is_broken());
  EXPECT_THROW(barrier.wait(), BrokenBarrier);
  barrier.reset();
  EXPECT_THROW(barrier.wait(1ms), BrokenBarrier);
}

TEST(Barrier, OneThatIsKilledOnlyLeaves) {
  Barrier barrier(2);
  auto victim = spawn([&] { barrier.wait(); });
  yield();
  victim.kill();
  EXPECT_EQ(barrier.waiting(), 0);
  auto first = spawn([&] { return barrier.wait(); });
  EXPECT_EQ(spawn([&] { return barrier.wait(); }).get(), 1);
  EXPECT_EQ(first.get(), 0);
}

// All have come before the deadline was noticed.
TEST(Barrier, AWaiterThatIsAboutToTimeOutGoesOnWhenTheLastComes) {
  Barrier barrier(2);
  auto late = spawn([&] { return barrier.wait(1h); });
  yield();
  expire(late);
  EXPECT_EQ(barrier.wait(), 1);
  EXPECT_EQ(late.get(), 0);
}

TEST(Barrier, AbortAndAThrowingActionBreakIt) {
  Barrier barrier(2, [] { throw std::runtime_error("no"); });
  auto waiting = spawn([&] { EXPECT_THROW(barrier.wait(), BrokenBarrier); });
  yield();
  EXPECT_THROW(barrier.wait(), std::runtime_error);
  waiting.join();
  barrier.reset();
  auto again = spawn([&] { EXPECT_THROW(barrier.wait(), BrokenBarrier); });
  yield();
  barrier.abort();
  again.join();
}

TEST(Barrier, NeedsAParty) { EXPECT_THROW(Barrier barrier(0), std::invalid_argument); }

}  // namespace
}  // namespace greenroom
