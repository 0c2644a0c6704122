// Condition: what becomes of its lock, and who is woken.

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/sync/lock.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Condition;
using green::Greenlet;
using green::joinall;
using green::Lock;
using green::spawn;

void kill_soon(const Greenlet<>& greenlet) {
  detail::throw_into(greenlet.task(), std::make_exception_ptr(green::GreenletExit()));
}

TEST(Condition, WaitFreesTheLockAndHasItAgain) {
  Lock lock;
  Condition changed(lock);
  bool is_ready = false;
  auto waiting = spawn([&] {
    const std::lock_guard guard(lock);
    changed.wait_for([&] { return is_ready; });
    return lock.locked();
  });
  yield();
  EXPECT_FALSE(lock.locked());
  {
    const std::lock_guard guard(changed);
    changed.notify();  // too early: it looks and waits again
  }
  yield();
  {
    const std::lock_guard guard(changed);
    is_ready = true;
    changed.notify();
  }
  EXPECT_TRUE(waiting.get());
  EXPECT_FALSE(lock.locked());
}

TEST(Condition, WaitIsFalseWhenItsTimeIsOver) {
  Condition condition;
  const std::lock_guard guard(condition);
  EXPECT_FALSE(condition.wait(1ms));
  EXPECT_FALSE(condition.wait_for([] { return false; }, 1ms));
  EXPECT_FALSE(condition.try_lock());
}

TEST(Condition, NotifyWakesAsManyAsItSays) {
  Condition condition;
  int woken = 0;
  auto body = [&] {
    const std::lock_guard guard(condition);
    woken += condition.wait(1h) ? 1 : 0;
  };
  const std::vector<Greenlet<>> waiters{spawn(body), spawn(body), spawn(body)};
  yield();
  auto notify = [&](int count) {
    const std::lock_guard guard(condition);
    condition.notify(count);
  };
  notify(2);
  for (int i = 0; i < 4; ++i) yield();
  EXPECT_EQ(woken, 2);
  {
    const std::lock_guard guard(condition);
    condition.notify_all();
  }
  joinall(waiters);
  EXPECT_EQ(woken, 3);
}

TEST(Condition, AKilledWaiterHasTheLockWhileItUnwindsAndPassesTheNewsOn) {
  Lock lock;
  Condition condition(lock);
  bool had_lock = false;
  auto victim = spawn([&] {
    const std::lock_guard guard(lock);
    try {
      condition.wait();
    } catch (const green::GreenletExit&) {
      had_lock = lock.locked();
      throw;
    }
  });
  auto heir = spawn([&] {
    const std::lock_guard guard(lock);
    return condition.wait();
  });
  yield();
  {
    const std::lock_guard guard(lock);
    kill_soon(victim);
    condition.notify();
  }
  EXPECT_TRUE(heir.get());
  victim.join();
  EXPECT_TRUE(had_lock);
  EXPECT_FALSE(lock.locked());
}

TEST(Condition, NeedsItsLock) {
  Condition condition;
  EXPECT_THROW(condition.wait(), std::logic_error);
  EXPECT_THROW(condition.notify(), std::logic_error);
}

}  // namespace
}  // namespace greenroom
