// Queues as the targets of links. gevent test__greenlet: test_link_to_queue, test_link_to_channel.
#include <gtest/gtest.h>

#include <chrono>

#include "greenroom/mailbox/queue.h"
#include "greenroom/scheduler/green.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Greenlet;
using green::spawn;

TEST(QueueLink, AQueueAndAChannelGetWhatALinkPuts) {
  green::Queue<int> queue;
  green::Channel<int> channel;
  auto greenlet = spawn([] { return 5; });
  greenlet.link([&](const Greenlet<int>& ended) { channel.put(ended.get(0s)); });  // waits there
  greenlet.link([&](const Greenlet<int>& ended) { queue.put(ended.get(0s)); });
  EXPECT_EQ(queue.get(), 5);
  EXPECT_EQ(channel.get(), 5);
  yield();  // the putter leaves the channel before that ends
}

}  // namespace
}  // namespace greenroom
