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

}  // namespace
}  // namespace greenroom
