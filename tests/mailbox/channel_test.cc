// Channel: a hand-over without a buffer.

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "greenroom/mailbox/queue.h"
#include "greenroom/scheduler/green.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Channel;
using green::Empty;
using green::Full;
using green::joinall;
using green::spawn;

using Log = std::vector<std::string>;

TEST(Channel, PutWaitsForTheGetterAndTheGetterGoesOnFirst) {
  Channel<int> channel;
  Log out;
  auto putter = spawn([&] {
    channel.put(1);
    out.push_back("put");
  });
  yield();
  EXPECT_TRUE(out.empty());
  auto getter = spawn([&] { out.push_back("got " + std::to_string(channel.get())); });
  joinall({putter, getter});
  auto early = spawn([&] { out.push_back("got " + std::to_string(channel.get())); });
  yield();
  channel.put(2);
  out.push_back("put");
  early.join();
  EXPECT_EQ(out, (Log{"got 1", "put", "got 2", "put"}));
}

TEST(Channel, IsAlwaysEmptyAndFull) {
  Channel<int> channel;
  EXPECT_TRUE(channel.empty());
  EXPECT_TRUE(channel.full());
  auto putter = spawn([&] { channel.put(1); });
  yield();
  EXPECT_EQ(channel.size(), 0u);
  EXPECT_EQ(channel.get_nowait(), 1);
  putter.join();
}

TEST(Channel, PutNowaitNeedsAWaitingGetter) {
  Channel<int> channel;
  EXPECT_THROW(channel.put_nowait(1), Full);
  EXPECT_THROW(channel.put(1, 1ms), Full);
  auto getter = spawn([&] { return channel.get(); });
  yield();
  channel.put_nowait(2);
  EXPECT_EQ(getter.get(), 2);
}

// The item was won before the kill came: it is returned, and the kill waits for the next call.
TEST(Channel, AKillAfterTheItemWasWonThrowsAtTheNextBlockingCall) {
  Channel<int> channel;
  int got = 0;
  auto getter = spawn([&] {
    got = channel.get();
    yield();
    got = -1;
  });
  yield();
  channel.put_nowait(1);
  getter.kill();
  EXPECT_EQ(got, 1);
}

TEST(Channel, AGetterGoesOnWaitingWhenItsPutterIsKilled) {
  Channel<int> channel;
  auto first = spawn([&] { return channel.get(); });
  auto second = spawn([&] { return channel.get(); });
  auto victim = spawn([&] { channel.put(1); });
  yield();
  victim.kill({}, 0s);  // the turn was called for the two of them, and comes after this
  auto putter = spawn([&] {
    channel.put(2);
    channel.put(3);
  });
  EXPECT_EQ(first.get(), 2);
  EXPECT_EQ(second.get(), 3);
  joinall({putter, victim});
}

TEST(Channel, AGetOfAnotherGetterIsServedInOrderEvenIfItComesBeforeTheTurn) {
  Channel<int> channel;
  auto first = spawn([&] { return channel.get(); });
  yield();
  auto putter = spawn([&] { channel.put(1); });
  yield();  // the turn is called for and has not come
  EXPECT_THROW(channel.get_nowait(), Empty);
  EXPECT_THROW(channel.put_nowait(2), Full);
  EXPECT_EQ(first.get(), 1);
  putter.join();
}

// Peek: success, timeout, kill while parked, wake racing the timeout.

TEST(Channel, PeekCopiesTheItemOfAPutterThatGoesOnWaiting) {
  Channel<int> channel;
  auto peeker = spawn([&] { return channel.peek(); });
  auto other = spawn([&] { return channel.peek(); });
  yield();
  EXPECT_FALSE(peeker.ready());
  auto putter = spawn([&] { channel.put(1); });
  EXPECT_EQ(peeker.get(), 1);
  EXPECT_EQ(other.get(), 1);
  EXPECT_EQ(channel.peek(), 1);
  EXPECT_EQ(channel.peek_nowait(), 1);
  EXPECT_FALSE(putter.ready());
  EXPECT_EQ(channel.get(), 1);
  putter.join();
  EXPECT_THROW(channel.peek_nowait(), Empty);
}

TEST(Channel, PeekThrowsEmptyWhenTheWaitIsOver) {
  Channel<int> channel;
  EXPECT_THROW(channel.peek(0s), Empty);
  EXPECT_THROW(channel.peek(1ms), Empty);
}

TEST(Channel, AKilledPeekerLeavesNoTrace) {
  Channel<int> channel;
  auto victim = spawn([&] { channel.peek(); });
  yield();
  victim.kill();
  EXPECT_THROW(channel.put(1, 1ms), Full);
  EXPECT_THROW(channel.put_nowait(1), Full);  // nobody waits to get
}

// It was told of a putter that has left again when it runs.
TEST(Channel, APeekerGoesOnWaitingWhenItsPutterIsKilled) {
  Channel<int> channel;
  auto peeker = spawn([&] { return channel.peek(); });
  yield();
  auto victim = spawn([&] { channel.put(1); });
  auto killer = spawn([&] { victim.kill({}, 0s); });
  yield();
  yield();
  EXPECT_FALSE(peeker.ready());
  auto putter = spawn([&] { channel.put(2); });
  EXPECT_EQ(peeker.get(), 2);
  EXPECT_EQ(channel.get(), 2);
  joinall({victim, killer, putter});
}

TEST(Channel, PeekHasWhatIsPutBeforeTheTimedOutPeekerRuns) {
  Channel<int> channel;
  bool was_empty = false;
  auto peeker = spawn([&] {
    try {
      channel.peek(1ms);
    } catch (const Empty&) {
      was_empty = true;
    }
  });
  yield();
  peeker.task().hub->end_park(peeker.task(), detail::ParkResult::expired);
  auto putter = spawn([&] { channel.put(1); });
  peeker.join();
  EXPECT_TRUE(was_empty);
  EXPECT_EQ(channel.get(), 1);
  putter.join();
}

// What getters wait for already is not what get() would return.
TEST(Channel, PeekPassesOverWhatIsForAGetter) {
  Channel<int> channel;
  auto getter = spawn([&] { return channel.get(); });
  auto peeker = spawn([&] { return channel.peek(); });
  yield();
  auto first = spawn([&] { channel.put(1); });
  auto second = spawn([&] { channel.put(2); });
  EXPECT_EQ(peeker.get(), 2);
  EXPECT_EQ(getter.get(), 1);
  EXPECT_EQ(channel.get(), 2);
  joinall({first, second});
}

TEST(Channel, AShutdownEndsPeek) {
  Channel<int> channel;
  auto peeker = spawn([&] { EXPECT_THROW(channel.peek(), green::ShutDown); });
  yield();
  channel.shutdown();
  EXPECT_TRUE(peeker.join(10s));
  EXPECT_THROW(channel.peek_nowait(), green::ShutDown);
}

}  // namespace
}  // namespace greenroom
