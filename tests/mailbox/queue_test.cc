// Queues on one hub: what comes out, who waits, what is thrown. Over 400 lines: three kinds of
// queue that share their rules.
#include "greenroom/mailbox/queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/scheduler/green.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Empty;
using green::Full;
using green::Greenlet;
using green::joinall;
using green::LifoQueue;
using green::PriorityQueue;
using green::Queue;
using green::ShutDown;
using green::spawn;

using Log = std::vector<std::string>;

// Gevent's two example programs, line by line.

TEST(Queue, RunsGeventsTaskProgramInTheSameOrder) {
  Queue<int> tasks;
  std::string out;
  auto worker = [&](std::string name) {
    while (!tasks.empty()) {
      out += "Worker " + name + " got task " + std::to_string(tasks.get()) + "\n";
      yield();
    }
    out += "Quitting time!\n";
  };
  spawn([&] {
    for (int i = 1; i < 25; ++i) tasks.put_nowait(i);
  }).join();
  joinall({spawn(worker, "steve"), spawn(worker, "john"), spawn(worker, "nancy")});
  std::string expected;
  const Log names{"steve", "john", "nancy"};
  for (std::size_t i = 1; i < 25; ++i)
    expected += "Worker " + names[(i - 1) % 3] + " got task " + std::to_string(i) + "\n";
  EXPECT_EQ(out, expected + "Quitting time!\nQuitting time!\nQuitting time!\n");
}

TEST(Queue, RunsGeventsBoundedProgramInTheSameOrder) {
  Queue<int> tasks({.max_size = 3});
  Log out;
  auto worker = [&](std::string name) {
    try {
      for (;;) {
        out.push_back(name + " " + std::to_string(tasks.get(50ms)));
        yield();
      }
    } catch (const Empty&) {
      out.push_back("Quitting time!");
    }
  };
  auto boss = [&] {
    for (int i = 1; i < 10; ++i) tasks.put(i);
    out.push_back("Assigned all work in iteration 1");
    for (int i = 10; i < 20; ++i) tasks.put(i);
    out.push_back("Assigned all work in iteration 2");
  };
  joinall({spawn(boss), spawn(worker, "steve"), spawn(worker, "john"), spawn(worker, "bob")});
  const Log expected{"steve 1",
                     "john 2",
                     "bob 3",
                     "steve 4",
                     "john 5",
                     "bob 6",
                     "Assigned all work in iteration 1",
                     "steve 7",
                     "john 8",
                     "bob 9",
                     "steve 10",
                     "john 11",
                     "bob 12",
                     "steve 13",
                     "john 14",
                     "bob 15",
                     "steve 16",
                     "john 17",
                     "bob 18",
                     "Assigned all work in iteration 2",
                     "steve 19",
                     "Quitting time!",
                     "Quitting time!",
                     "Quitting time!"};
  EXPECT_EQ(out, expected);
}

// What blocks: success, timeout, kill while parked, wake racing the timeout.

TEST(Queue, GetTakesWhatIsThereAndWaitsForWhatIsNot) {
  Queue<int> queue;
  queue.put(1);
  EXPECT_EQ(queue.get(), 1);
  auto getter = spawn([&] { return queue.get(); });
  yield();
  EXPECT_FALSE(getter.ready());
  queue.put(2);
  EXPECT_EQ(getter.get(), 2);
}

// gevent: block=False, and timeout=0, raise at once.
TEST(Queue, ThrowsEmptyOrFullWhenTheWaitIsOver) {
  Queue<int> queue({.max_size = 1});
  EXPECT_THROW(queue.get_nowait(), Empty);
  EXPECT_THROW(queue.get(0s), Empty);
  EXPECT_THROW(queue.get(1ms), Empty);
  EXPECT_THROW(queue.peek(1ms), Empty);
  queue.put(1, 1ms);
  EXPECT_THROW(queue.put_nowait(2), Full);
  EXPECT_THROW(queue.put(2, 0s), Full);
  EXPECT_THROW(queue.put(2, 1ms), Full);
  EXPECT_EQ(queue.get(), 1);
  EXPECT_TRUE(queue.empty());
}

TEST(Queue, EmptyFullAndShutDownAreStandardExceptions) {
  EXPECT_THROW(Queue<int>().get_nowait(), std::exception);
  EXPECT_STREQ(Full().what(), "the queue is full");
  EXPECT_STREQ(ShutDown().what(), "the queue is shut down");
}

// gevent test__queue: test_waiters_that_die, test_senders_that_die.
TEST(Queue, AKilledGetterLosesNothingAndLeavesNoTrace) {
  Queue<int> queue;
  auto victim = spawn([&] { return queue.get(); });
  auto heir = spawn([&] { return queue.get(); });
  yield();
  victim.kill();
  queue.put(1);
  EXPECT_EQ(heir.get(), 1);
  EXPECT_TRUE(queue.empty());
}

TEST(Queue, AKilledPutterDoesNotDeliver) {
  Queue<int> queue({.max_size = 1});
  queue.put(1);
  auto victim = spawn([&] { queue.put(2); });
  auto other = spawn([&] { queue.put(3); });
  yield();
  victim.kill();
  EXPECT_EQ(queue.get(), 1);
  EXPECT_EQ(queue.get(), 3);
  other.join();
  EXPECT_TRUE(queue.empty());
}

// The putter was killed, and has not run yet when the room comes.
TEST(Queue, RoomGoesPastAPutterThatIsAboutToLeave) {
  Queue<int> queue({.max_size = 1});
  queue.put(1);
  auto victim = spawn([&] { queue.put(2); });
  auto other = spawn([&] { queue.put(3); });
  yield();
  victim.kill({}, 0s);
  EXPECT_EQ(queue.get_nowait(), 1);
  EXPECT_EQ(queue.get(), 3);
  EXPECT_THROW(queue.get_nowait(), Empty);
  joinall({victim, other});
}

TEST(Queue, AnItemGoesPastAGetterThatIsAboutToLeave) {
  Queue<int> queue;
  auto victim = spawn([&] { return queue.get(); });
  auto heir = spawn([&] { return queue.get(); });
  yield();
  victim.kill({}, 0s);
  queue.put_nowait(1);
  EXPECT_EQ(heir.get(), 1);
}

// The kill comes before the queue's turn.
TEST(Queue, AnItemThatAKilledGetterHasNotTakenStays) {
  Queue<int> queue;
  auto victim = spawn([&] { queue.get(); });
  yield();
  queue.put_nowait(1);
  victim.kill();
  EXPECT_TRUE(victim.ready());
  EXPECT_EQ(queue.get_nowait(), 1);
}

// gevent test__queue: test_two_bogus_waiters.
TEST(Queue, AGetterThatTimesOutInTheMiddleIsPassedOver) {
  Queue<int> queue;
  Log out;
  auto getter = [&](std::string name, Wait wait) {
    try {
      out.push_back(name + std::to_string(queue.get(wait)));
    } catch (const Empty&) {
      out.push_back(name + " empty");
    }
  };
  auto a = spawn(getter, "a", Wait::forever());
  auto b = spawn(getter, "b", Wait(1ms));
  auto c = spawn(getter, "c", Wait::forever());
  b.join();
  queue.put(1);
  queue.put(2);
  joinall({a, c});
  EXPECT_EQ(out, (Log{"b empty", "a1", "c2"}));
}

// The deadline has passed and the getter has not run when the item comes: it leaves empty-handed,
// and the item is still there.
TEST(Queue, AnItemThatComesAfterTheDeadlineStaysInTheQueue) {
  Queue<int> queue;
  bool was_empty = false;
  auto getter = spawn([&] {
    try {
      queue.get(1ms);
    } catch (const Empty&) {
      was_empty = true;
    }
  });
  yield();
  getter.task().hub->end_park(getter.task(), detail::ParkResult::expired);
  queue.put_nowait(1);
  getter.join();
  EXPECT_TRUE(was_empty);
  EXPECT_EQ(queue.get_nowait(), 1);
}

TEST(Queue, ATimeoutAroundGetLeavesTheQueueClean) {
  Queue<int> queue;
  EXPECT_FALSE(try_for(1ms, [&] { return queue.get(); }));
  queue.put(1);
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(queue.get_nowait(), 1);
}

// Order and bounds.

TEST(Queue, GettersAndPuttersAreServedInOrderOfArrival) {
  Queue<int> queue({.max_size = 1});
  Log out;
  std::vector<Greenlet<>> all;
  all.reserve(8);
  for (int i = 0; i < 4; ++i)
    all.push_back(spawn([&, i] {
      queue.put(i);
      out.push_back("put" + std::to_string(i));
    }));
  for (int i = 0; i < 4; ++i)
    all.push_back(spawn([&] { out.push_back("got" + std::to_string(queue.get())); }));
  joinall(all);
  Log got;
  Log put;
  for (const std::string& line : out) (line[0] == 'g' ? got : put).push_back(line);
  EXPECT_EQ(got, (Log{"got0", "got1", "got2", "got3"}));
  EXPECT_EQ(put, (Log{"put0", "put1", "put2", "put3"}));
}

// As in gevent: the one that waits is served in the queue's turn, and finds what is left then.
TEST(Queue, ALateComerTakesWhatNobodyHasTakenYet) {
  Queue<int> queue;
  Log out;
  auto waiting = spawn([&] { out.push_back("waiting " + std::to_string(queue.get())); });
  yield();
  queue.put(1);
  EXPECT_FALSE(queue.empty());
  EXPECT_EQ(queue.get_nowait(), 1);
  yield();
  EXPECT_EQ(out, Log());
  queue.put(2);
  queue.put(3);
  EXPECT_EQ(queue.get(), 2);
  waiting.join();
  EXPECT_EQ(out, Log{"waiting 3"});
}

// Nobody takes it from a getter on the way: it goes on in the turn's own place.
TEST(Queue, WhoIsServedGoesOnAheadOfWhatIsReadyBehindTheTurn) {
  Queue<int> queue({.max_size = 1});
  Log out;
  const auto say = [&](std::string word) { spawn([&out, word] { out.push_back(word); }); };
  auto getter = spawn([&] {
    out.push_back("got " + std::to_string(queue.get()));
    say("getter's");
    out.push_back("got " + std::to_string(queue.get()));
  });
  yield();
  say("before");
  queue.put(1);
  auto putter = spawn([&] {
    queue.put(2);
    out.push_back("put 2");
  });
  say("behind");
  joinall({getter, putter});
  yield();
  EXPECT_EQ(out, (Log{"before", "got 1", "put 2", "behind", "getter's", "got 2"}));
}

// gevent test__queue: test_max_size.
TEST(Queue, NeverHoldsMoreThanItsMaximum) {
  Queue<int> queue({.max_size = 2});
  std::vector<Greenlet<>> putters;
  putters.reserve(5);
  for (int i = 0; i < 5; ++i) putters.push_back(spawn([&, i] { queue.put(i); }));
  yield();
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_TRUE(queue.full());
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(queue.get(), i);
    EXPECT_LE(queue.size(), 2u);
  }
  joinall(putters);
}

TEST(Queue, IsUnboundedWithAMaximumOfZero) {
  Queue<int> queue;
  for (int i = 0; i < 1000; ++i) queue.put_nowait(i);
  EXPECT_FALSE(queue.full());
  EXPECT_EQ(queue.size(), 1000u);
}

// gevent test__queue: items of the constructor.
TEST(Queue, BeginsWithItemsEvenIfTheyAreMoreThanItsMaximum) {
  Queue<int> queue({.max_size = 1}, {1, 2, 3});
  EXPECT_EQ(queue.qsize(), 3u);
  EXPECT_EQ(queue.unfinished(), 3u);
  EXPECT_THROW(queue.put_nowait(4), Full);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(queue.get(), i);
  LifoQueue<int> newest_first({}, {1, 2});
  EXPECT_EQ(newest_first.get(), 2);
}

TEST(Queue, PeekNowaitCopiesWhatIsThereOrThrowsEmpty) {
  Queue<int> queue({.max_size = 1});
  EXPECT_THROW(queue.peek_nowait(), Empty);
  queue.put(1);
  EXPECT_EQ(queue.peek_nowait(), 1);
  EXPECT_EQ(queue.size(), 1u);
  queue.shutdown(Queue<int>::Shutdown::immediate);
  EXPECT_THROW(queue.peek_nowait(), ShutDown);
  EXPECT_EQ(LifoQueue<int>({}, {1, 2}).peek_nowait(), 2);
  EXPECT_EQ(PriorityQueue<int>({}, {2, 1}).peek_nowait(), 1);
}

// gevent test__queue: test_peek_multi_greenlet.
TEST(Queue, AllWhoPeekSeeTheSameItem) {
  Queue<int> queue;
  auto first = spawn([&] { return queue.peek(); });
  auto second = spawn([&] { return queue.peek(); });
  yield();
  queue.put(5);
  EXPECT_EQ(first.get(), 5);
  EXPECT_EQ(second.get(), 5);
  EXPECT_EQ(queue.get_nowait(), 5);
}

struct Uncopyable {
  Uncopyable() = default;
  Uncopyable(const Uncopyable&) { throw std::runtime_error("no copies"); }
  Uncopyable(Uncopyable&&) noexcept = default;
  Uncopyable& operator=(const Uncopyable&) = delete;
  Uncopyable& operator=(Uncopyable&&) noexcept = default;
  ~Uncopyable() = default;
};

TEST(Queue, AGetterBehindAPeekWhoseCopyThrowsGetsTheItem) {
  Queue<Uncopyable> queue;
  auto peeker = spawn([&] { queue.peek(); });
  auto getter = spawn([&] { queue.get(); });
  yield();
  queue.put(Uncopyable());
  EXPECT_TRUE(getter.join(10s));
  EXPECT_THROW(peeker.get(), std::runtime_error);
  EXPECT_TRUE(queue.empty());
  getter.kill();
}

TEST(Queue, CarriesWhatCanOnlyBeMoved) {
  Queue<std::unique_ptr<int>> queue({.max_size = 1});
  auto putter = spawn([&] {
    queue.put(std::make_unique<int>(1));
    queue.put(std::make_unique<int>(2));
  });
  EXPECT_EQ(*queue.get(), 1);
  EXPECT_EQ(*queue.get(), 2);
  putter.join();
}

TEST(LifoQueue, GivesTheNewestFirst) {
  LifoQueue<int> queue;
  for (int i = 1; i <= 3; ++i) queue.put(i);
  EXPECT_EQ(queue.peek(), 3);
  EXPECT_EQ(queue.get(), 3);
  EXPECT_EQ(queue.get(), 2);
  EXPECT_EQ(queue.get(), 1);
}

TEST(PriorityQueue, GivesTheSmallestFirst) {
  PriorityQueue<int> queue({}, {3, 1, 2});
  queue.put(0);
  EXPECT_EQ(queue.peek(), 0);
  for (int i = 0; i <= 3; ++i) EXPECT_EQ(queue.get(), i);
}

TEST(PriorityQueue, GivesManyInOrder) {
  PriorityQueue<int> queue;
  std::vector<int> got;
  for (int i = 0; i < 1000; ++i) queue.put_nowait(i * 271 % 500);
  while (!queue.empty()) got.push_back(queue.get_nowait());
  EXPECT_EQ(got.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
}

// gevent: who waits gets the smallest at the moment it is woken, not what was put first.
TEST(PriorityQueue, AWaitingGetterGetsTheSmallestAtTheMomentItRuns) {
  PriorityQueue<int> queue;
  auto getter = spawn([&] { return queue.get(); });
  yield();
  queue.put(5);
  queue.put(1);
  EXPECT_EQ(getter.get(), 1);
  EXPECT_EQ(queue.get(), 5);
}

// Comparisons that throw: the one that brings `comparisons_left` to 0.

int comparisons_left = 0;

struct ThrowingLess {
  bool operator()(const std::string& a, const std::string& b) const {
    if (--comparisons_left == 0) throw std::runtime_error("incomparable");
    return a < b;
  }
};
using ThrowingQueue = PriorityQueue<std::string, ThrowingLess>;

std::string take_all(ThrowingQueue& queue) {
  std::string all;
  while (!queue.empty()) all += queue.get_nowait();
  return all;
}

TEST(PriorityQueue, APutWhoseComparisonThrowsLeavesEverythingAsItWas) {
  for (int nth = 1; nth <= 3; ++nth) {
    comparisons_left = 0;
    ThrowingQueue queue({}, {"b", "c", "d", "e", "f", "g", "h"});
    comparisons_left = nth;
    EXPECT_THROW(queue.put("a"), std::runtime_error);
    EXPECT_EQ(queue.size(), 7u);
    EXPECT_EQ(queue.unfinished(), 7u);
    EXPECT_EQ(take_all(queue), "bcdefgh");
  }
}

TEST(PriorityQueue, AGetWhoseComparisonThrowsTakesNothing) {
  for (int nth = 1; nth <= 4; ++nth) {
    comparisons_left = 0;
    ThrowingQueue queue({}, {"b", "c", "d", "e", "f", "g", "h"});
    comparisons_left = nth;
    EXPECT_THROW(queue.get(), std::runtime_error);
    EXPECT_EQ(queue.size(), 7u);
    EXPECT_EQ(take_all(queue), "bcdefgh");
  }
}

TEST(PriorityQueue, AGetterBehindOneWhoseComparisonThrowsGetsTheItem) {
  comparisons_left = 0;
  ThrowingQueue queue;
  auto first = spawn([&] { return queue.get(); });
  auto second = spawn([&] { return queue.get(); });
  auto third = spawn([&] { return queue.get(); });
  auto fourth = spawn([&] { return queue.get(); });
  yield();
  for (const char* item : {"a", "b", "c"}) queue.put_nowait(item);
  comparisons_left = 1;
  EXPECT_TRUE(fourth.join(10s));
  EXPECT_THROW(first.get(), std::runtime_error);
  EXPECT_EQ(second.get() + third.get() + fourth.get(0s), "abc");
}

TEST(PriorityQueue, AComparisonThatThrowsForAWaitingPutterIsThatPuttersFailure) {
  comparisons_left = 0;
  ThrowingQueue queue({.max_size = 2});
  queue.put("a");
  queue.put("b");
  auto first = spawn([&] { queue.put("c"); });
  auto second = spawn([&] { queue.put("d"); });
  yield();
  comparisons_left = 1;  // the first getter's own needs none
  EXPECT_EQ(queue.get(), "a");
  EXPECT_TRUE(second.join(10s));
  EXPECT_THROW(first.get(), std::runtime_error);
  EXPECT_EQ(take_all(queue), "bd");
}

}  // namespace
}  // namespace greenroom
