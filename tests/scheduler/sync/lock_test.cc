#include "greenroom/scheduler/sync/lock.h"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "greenroom/scheduler/green.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::joinall;
using green::Lock;
using green::RLock;
using green::spawn;

using Log = std::vector<std::string>;

// Lock.

TEST(Lock, WorksWithTheStandardGuards) {
  Lock lock;
  {
    const std::lock_guard guard(lock);
    EXPECT_TRUE(lock.locked());
    EXPECT_FALSE(lock.try_lock());
    EXPECT_FALSE(lock.acquire(1ms));
  }
  std::unique_lock guard(lock, std::try_to_lock);
  EXPECT_TRUE(guard.owns_lock());
}

TEST(Lock, OneGreenletAtATimeIsInside) {
  Lock lock;
  Log out;
  auto body = [&](std::string name) {
    const std::lock_guard guard(lock);
    out.push_back(name + " in");
    yield();
    out.push_back(name + " out");
  };
  joinall({spawn(body, "a"), spawn(body, "b")});
  EXPECT_EQ(out, (Log{"a in", "a out", "b in", "b out"}));
}

TEST(Lock, AKilledHolderReleasesItByUnwinding) {
  Lock lock;
  auto holder = spawn([&] {
    const std::lock_guard guard(lock);
    sleep(1h);
  });
  auto waiting = spawn([&] { const std::lock_guard guard(lock); });
  yield();
  yield();
  holder.kill();
  EXPECT_TRUE(waiting.join());
  EXPECT_FALSE(lock.locked());
}

// Python: "release unlocked lock".
TEST(Lock, AReleaseWithoutALockIsRefused) {
  Lock lock;
  EXPECT_THROW(lock.release(), std::logic_error);
}

// RLock.

TEST(RLock, ItsOwnerTakesItAgain) {
  RLock lock;
  {
    const std::lock_guard outer(lock);
    const std::lock_guard inner(lock);
    EXPECT_EQ(lock.count(), 2);
    EXPECT_FALSE(spawn([&] { return lock.try_lock(); }).get());
    EXPECT_FALSE(spawn([&] { return lock.acquire(1ms); }).get());
  }
  EXPECT_EQ(lock.count(), 0);
  EXPECT_TRUE(spawn([&] {
                const std::lock_guard guard(lock);
                return lock.is_mine();
              }).get());
}

TEST(RLock, AKilledWaiterLeavesItToTheNext) {
  RLock lock;
  std::optional<std::lock_guard<RLock>> guard(std::in_place, lock);
  auto victim = spawn([&] { lock.acquire(); });
  auto heir = spawn([&] { return lock.acquire(); });
  yield();
  victim.kill();
  guard.reset();
  EXPECT_TRUE(heir.get());
}

// gevent: "cannot release un-acquired lock".
TEST(RLock, OnlyItsOwnerMayReleaseIt) {
  RLock lock;
  EXPECT_THROW(lock.release(), std::logic_error);
  const std::lock_guard guard(lock);
  EXPECT_THROW(spawn([&] { lock.release(); }).get(), std::logic_error);
}

}  // namespace
}  // namespace greenroom
