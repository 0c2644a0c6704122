// Pools: room for so many greenlets, and who waits for it.
#include "greenroom/scheduler/greenlet/pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Event;
using green::Greenlet;
using green::Group;
using green::Pool;
using green::PoolFull;

struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A greenlet that waits until it is told.
struct Waiting {
  Event go;
  Greenlet<> in(Group& group) {
    return group.spawn([this] { go.wait(); });
  }
};

TEST(Pool, SpawnWaitsForRoom) {
  Pool pool(2);
  std::vector<std::string> log;
  const auto work = [&](std::string name) {
    log.push_back(name + " starts");
    yield();
    log.push_back(name + " ends");
  };
  for (const char* name : {"a", "b", "c"}) pool.spawn(work, name);
  EXPECT_EQ(log, (std::vector<std::string>{"a starts", "b starts", "a ends", "b ends"}));
  pool.join();
  EXPECT_EQ(log.back(), "c ends");
}

TEST(Pool, SpawnWaitsForRoomThroughAGroupToo) {
  Pool pool(1);
  Group& group = pool;
  Waiting waiting;
  waiting.in(group);
  green::spawn([&] { waiting.go.set(); });
  const auto second = waiting.in(group);
  EXPECT_TRUE(waiting.go.is_set());
  pool.join();
  EXPECT_TRUE(second.ready());
}

TEST(Pool, CountsItsRoom) {
  Pool pool(3);
  Waiting waiting;
  EXPECT_EQ(pool.free_count(), 3U);
  waiting.in(pool);
  EXPECT_EQ(pool.free_count(), 2U);
  EXPECT_FALSE(pool.full());
  waiting.in(pool);
  waiting.in(pool);
  EXPECT_TRUE(pool.full());
  waiting.go.set();
  pool.join();
  EXPECT_EQ(pool.free_count(), 3U);
  EXPECT_FALSE(Pool().full());
  EXPECT_TRUE(Pool().wait_available(0s));
}

TEST(Pool, WithoutRoomForAnybodyIsFullForEver) {
  testkit::simulate({}, [] {
    Pool pool(0);
    EXPECT_TRUE(pool.full());
    EXPECT_EQ(pool.free_count(), 0U);
    EXPECT_FALSE(pool.wait_available(1ms));
    EXPECT_FALSE(try_for(1ms, [&] { pool.spawn([] {}); }));
  });
}

TEST(Pool, AddThrowsWhenThereIsNoRoomInTime) {
  testkit::simulate({}, [] {
    Pool pool(1);
    Waiting waiting;
    waiting.in(pool);
    const auto other = green::spawn([&] { waiting.go.wait(); });
    EXPECT_THROW(pool.add(other, 0s), PoolFull);
    const auto start = clock::now();
    EXPECT_THROW(pool.add(other, 2ms), PoolFull);
    EXPECT_EQ(clock::now() - start, 2ms);
    EXPECT_FALSE(pool.contains(other));
    waiting.go.set();
    pool.add(other, 1s);
    pool.join();
  });
}

TEST(Pool, OneThatIsAddedTwiceTakesOneRoom) {
  Pool pool(2);
  Waiting waiting;
  const auto one = waiting.in(pool);
  pool.add(one);
  EXPECT_EQ(pool.free_count(), 1U);
  const auto second = waiting.in(pool);
  EXPECT_TRUE(pool.contains(second));
  waiting.go.set();
  pool.join();
}

TEST(Pool, DiscardMakesRoom) {
  Pool pool(1);
  Waiting waiting;
  const auto one = waiting.in(pool);
  pool.discard(one);
  pool.discard(one);  // no more of it
  const auto second = waiting.in(pool);
  EXPECT_TRUE(pool.full());
  bool has_room = false;
  const auto third = green::spawn([&] {
    waiting.in(pool);
    has_room = true;
  });
  yield();
  EXPECT_FALSE(has_room);
  waiting.go.set();
  third.join();
  pool.join();
}

TEST(Pool, AGreenletThatFailsMakesRoom) {
  Pool pool(1);
  for (int i = 0; i < 3; ++i) pool.spawn([] { throw Failed("it"); });
  EXPECT_TRUE(pool.join());
  EXPECT_EQ(pool.free_count(), 1U);
}

TEST(Pool, WhoIsKilledWhileItWaitsForRoomStartsNothingAndTakesNone) {
  testkit::simulate({}, [] {
    Pool pool(1);
    Waiting waiting;
    waiting.in(pool);
    bool has_started = false;
    const auto spawner = green::spawn([&] { pool.spawn([&] { has_started = true; }); });
    sleep(1ms);
    spawner.kill();
    waiting.go.set();
    pool.join();
    EXPECT_FALSE(has_started);
    EXPECT_EQ(pool.free_count(), 1U);
  });
}

TEST(Pool, RoomThatComesAtTheSameMomentAsATimeoutIsNotLost) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    testkit::simulate({.seed = seed}, [] {
      Pool pool(1);
      pool.spawn([] { sleep(1ms); });
      int started = 0;
      try_for(1ms, [&] { pool.spawn([&] { ++started; }); });
      sleep(1ms);
      pool.join();
      EXPECT_EQ(pool.free_count(), 1U);
      pool.spawn([&] { ++started; });
      pool.join();
      EXPECT_GE(started, 1);
    });
  }
}

TEST(Pool, WhoWaitsForRoomIsNotOvertaken) {
  Pool pool(1);
  std::vector<std::string> log;
  const auto spawn_in_pool = [&](std::string name) {
    pool.spawn([&log, name] { log.push_back(name); });
  };
  spawn_in_pool("first");
  green::spawn([&] {
    spawn_in_pool("waited");
    spawn_in_pool("waited again");
  });
  green::spawn([&] {
    yield();
    spawn_in_pool("late");
  });
  while (log.size() < 4) yield();
  EXPECT_EQ(log, (std::vector<std::string>{"first", "waited", "late", "waited again"}));
}

// wait_available.

TEST(Pool, WaitAvailableTakesNoRoom) {
  testkit::simulate({}, [] {
    Pool pool(1);
    EXPECT_TRUE(pool.wait_available());
    pool.spawn([] { sleep(2ms); });
    EXPECT_FALSE(pool.wait_available(1ms));
    EXPECT_TRUE(pool.wait_available());
    EXPECT_EQ(pool.free_count(), 1U);
  });
}

TEST(Pool, WaitAvailableMayBeKilled) {
  testkit::simulate({}, [] {
    Pool pool(0);
    const auto waiter = green::spawn([&] { pool.wait_available(); });
    sleep(1ms);
    waiter.kill();
    EXPECT_TRUE(waiter.ready());
  });
}

// Mapping.

TEST(Pool, MapRunsAsManyAsThereIsRoomFor) {
  testkit::simulate({}, [] {
    Pool pool(3);
    std::size_t most = 0;
    const auto work = [&](int n) {
      most = std::max(most, pool.size());
      sleep(1ms);
      return n;
    };
    const auto start = clock::now();
    EXPECT_EQ(pool.map(work, std::vector<int>(10, 1)).size(), 10U);
    EXPECT_EQ(most, 3U);
    EXPECT_EQ(clock::now() - start, 4ms);
  });
}

TEST(Pool, ApplyByAGreenletOfAFullPoolDoesNotWaitForItself) {
  Pool pool(1);
  EXPECT_EQ(pool.apply([&] { return pool.apply([&] { return pool.apply([] { return 7; }); }); }),
            7);
}

TEST(Pool, ApplyAsyncNeverParksAndTheGreenletWaitsForRoom) {
  Pool pool(1);
  Waiting waiting;
  waiting.in(pool);
  const Greenlet<int> one = pool.apply_async([] { return 3; });
  EXPECT_FALSE(pool.contains(one));
  yield();
  EXPECT_FALSE(one.ready());
  waiting.go.set();
  EXPECT_EQ(one.get(), 3);
  pool.join();
}

TEST(Pool, KillAlsoEndsWhatCameIntoTheRoomThatItMade) {
  testkit::simulate({}, [] {
    Pool pool(1);
    pool.spawn([] { sleep(1h); });
    Greenlet<> second;
    const auto spawner = green::spawn([&] { second = pool.spawn([] { sleep(1h); }); });
    sleep(1ms);
    pool.kill();
    spawner.join();
    pool.kill();
    EXPECT_TRUE(pool.empty());
    EXPECT_TRUE(second.ready());
  });
}

TEST(Pool, RefusesASizeThatWasNegative) {
  EXPECT_THROW(Pool(static_cast<std::size_t>(-1)), std::invalid_argument);
  EXPECT_THROW(Pool(-1), std::invalid_argument);
}

}  // namespace
}  // namespace greenroom
