// The end of a queue: task_done, join, shutdown.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>

#include "greenroom/mailbox/queue.h"
#include "greenroom/scheduler/green.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::joinall;
using green::Queue;
using green::ShutDown;
using green::spawn;

// task_done and join.

TEST(Queue, JoinWaitsUntilEverythingThatWasPutIsDone) {
  Queue<int> queue;
  EXPECT_TRUE(queue.join());
  queue.put(1);
  queue.put(2);
  EXPECT_FALSE(queue.join(1ms));
  auto joiner = spawn([&] { return queue.join(); });
  queue.get();
  queue.task_done();
  yield();
  EXPECT_FALSE(joiner.ready());
  EXPECT_EQ(queue.unfinished(), 1u);
  queue.get();
  queue.task_done();
  EXPECT_TRUE(joiner.get());
  EXPECT_THROW(queue.task_done(), std::logic_error);
}

// Shutdown.

TEST(Queue, AfterShutdownGetDrainsAndPutThrows) {
  Queue<int> queue;
  queue.put(1);
  queue.shutdown();
  EXPECT_THROW(queue.put(2), ShutDown);
  EXPECT_THROW(queue.put_nowait(2), ShutDown);
  EXPECT_EQ(queue.get(), 1);
  EXPECT_THROW(queue.get(), ShutDown);
  EXPECT_THROW(queue.get_nowait(), ShutDown);
}

TEST(Queue, ShutdownWakesWhoeverWaits) {
  Queue<int> empty;
  Queue<int> full({.max_size = 1});
  full.put(1);
  auto getter = spawn([&] { EXPECT_THROW(empty.get(), ShutDown); });
  auto putter = spawn([&] { EXPECT_THROW(full.put(2), ShutDown); });
  yield();
  empty.shutdown();
  full.shutdown();
  EXPECT_EQ(joinall({getter, putter}).size(), 2u);
  EXPECT_EQ(full.get(), 1);
}

TEST(Queue, AnImmediateShutdownDropsTheItemsAndReleasesJoin) {
  Queue<std::shared_ptr<int>> queue;
  const auto item = std::make_shared<int>(1);
  queue.put(item);
  queue.put(item);
  auto joiner = spawn([&] { return queue.join(); });
  yield();
  queue.shutdown(decltype(queue)::Shutdown::immediate);
  EXPECT_EQ(item.use_count(), 1);
  EXPECT_TRUE(joiner.get());
  EXPECT_THROW(queue.get(), ShutDown);
}

TEST(Queue, IsReadToItsEndByALoop) {
  Queue<int> queue({.max_size = 1});
  int sum = 0;
  const auto read = [&] {
    for (const int item : queue) sum += item;
  };
  const auto first = spawn(read);
  const auto second = spawn(read);
  for (int i = 1; i <= 10; ++i) queue.put(i);
  queue.shutdown();
  joinall({first, second});
  EXPECT_EQ(sum, 55);
  read();
}

TEST(Queue, ALoopThatIsKilledLeavesTheRest) {
  Queue<std::unique_ptr<int>> queue;
  queue.put(std::make_unique<int>(1));
  int got = 0;
  const auto reader = spawn([&] {
    for (auto& item : queue) got = *item;
  });
  yield();
  reader.kill();
  EXPECT_EQ(got, 1);
  queue.put(std::make_unique<int>(2));
  EXPECT_EQ(*queue.get_nowait(), 2);
}

// They could go on, and the turn has not come.
TEST(Queue, ShutdownServesThoseWhoAreToGoOnFirst) {
  Queue<int> queue({.max_size = 1});
  queue.put(1);
  auto putter = spawn([&] { queue.put(2); });
  yield();
  EXPECT_EQ(queue.get(), 1);
  queue.shutdown();
  putter.join();
  EXPECT_TRUE(putter.successful());
  EXPECT_EQ(queue.get(), 2);
  Queue<int> other;
  auto getter = spawn([&] { return other.get(); });
  yield();
  other.put(3);
  other.shutdown();
  EXPECT_EQ(getter.get(), 3);
}

}  // namespace
}  // namespace greenroom
