#include "greenroom/scheduler/port/port.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/port/poller.h"

namespace greenroom::detail {
namespace {

struct Numbered : PostNode {
  int sender = 0;
  int number = 0;
};

// A port without a hub behind it: the test is its owner.
class PortTest : public testing::Test {
 protected:
  ~PortTest() override {
    if (!is_closed) port.close();
  }

  static Hub& no_hub() {
    static std::byte storage[1];
    return *reinterpret_cast<Hub*>(storage);  // Port::open only takes it
  }

  static std::vector<int> numbers(PostNode* node) {
    std::vector<int> result;
    for (; node; node = node->next) result.push_back(static_cast<Numbered*>(node)->number);
    return result;
  }

  Port& port = Port::open(no_hub());
  bool is_closed = false;
};

TEST_F(PortTest, GivesWhatWasPushedOldestFirst) {
  Numbered nodes[3];
  for (int i = 0; i < 3; ++i) {
    nodes[i].number = i;
    EXPECT_TRUE(port.push(nodes[i]));
  }
  EXPECT_FALSE(port.is_empty());
  EXPECT_EQ(numbers(port.take_all()), (std::vector<int>{0, 1, 2}));
  EXPECT_TRUE(port.is_empty());
  EXPECT_EQ(port.take_all(), nullptr);
}

// While a node is handled the one that comes in some steps is fetched: it is found from here.
class PortAheadTest : public PortTest {
 protected:
  static constexpr int stride = Port::stride;

  static const PostNode* ahead_of(const PostNode& node) {
    if (node.ahead == 0) return nullptr;
    return reinterpret_cast<const PostNode*>(reinterpret_cast<const std::byte*>(&node) +
                                             node.ahead * PostNode::unit);
  }

  struct alignas(PostNode::unit) Block : Numbered {};
  std::vector<Block> nodes = std::vector<Block>(3 * stride);
};

TEST_F(PortAheadTest, LeadsToWhatComesLaterInTheOrderOfTheOwner) {
  for (Block& node : nodes) port.push(node);
  const PostNode* node = port.take_all();
  for (int i = 0; i < 3 * stride; ++i, node = node->next) {
    ASSERT_EQ(node, &nodes[i]);
    EXPECT_EQ(ahead_of(*node), i < 2 * stride ? &nodes[i + stride] : nullptr) << i;
  }
}

TEST_F(PortAheadTest, LeadsBackWhileTheOwnerHasTakenNothing) {
  for (Block& node : nodes) port.push(node);
  for (int i = 0; i < 3 * stride; ++i)
    EXPECT_EQ(ahead_of(nodes[i]), i >= stride ? &nodes[i - stride] : nullptr) << i;
  port.take_all();
}

// What was taken before may be another's by now.
TEST_F(PortAheadTest, DoesNotLeadToNodesThatWereTakenBefore) {
  for (int i = 0; i < 2 * stride; ++i) port.push(nodes[i]);
  port.take_all();
  for (int i = 2 * stride; i < 3 * stride; ++i) {
    port.push(nodes[i]);
    EXPECT_EQ(ahead_of(nodes[i]), nullptr) << i;
  }
  port.take_all();
}

TEST_F(PortAheadTest, DoesNotLeadToNodesOfAnotherPort) {
  Port& other = Port::open(no_hub());
  for (int i = 0; i < stride; ++i) port.push(nodes[i]);
  for (int i = stride; i < 2 * stride; ++i) other.push(nodes[i]);
  port.push(nodes[2 * stride]);
  EXPECT_EQ(ahead_of(nodes[2 * stride]), nullptr);
  other.close();
  port.take_all();
}

TEST_F(PortTest, RefusesOnceItIsClosedAndGivesBackWhatWasLeft) {
  Numbered left;
  left.number = 7;
  port.push(left);
  EXPECT_EQ(numbers(port.close()), std::vector<int>{7});
  is_closed = true;
  Numbered late;
  EXPECT_FALSE(port.push(late));
}

TEST_F(PortTest, IsFoundByItsNumber) {
  EXPECT_EQ(Port::at(port.number()), &port);
  EXPECT_EQ(Port::at(Port::limit), nullptr);
  EXPECT_EQ(Port::at(Port::limit - 1), nullptr);
}

// Whoever still holds a port's address finds a port there, closed or somebody else's.
TEST_F(PortTest, KeepsItsAddressAndItsNumberIsUsedAgain) {
  Port* const before = &port;
  port.close();
  Port& again = Port::open(no_hub());
  EXPECT_EQ(&again, before);
  EXPECT_TRUE(again.is_empty());
}

TEST_F(PortTest, KeepsTheOrderOfEachThread) {
  constexpr int threads = 3;
  constexpr int each = 5'000;
  std::vector<std::vector<Numbered>> nodes(threads, std::vector<Numbered>(each));
  std::vector<std::thread> senders;
  senders.reserve(threads);
  for (int t = 0; t < threads; ++t) {
    senders.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        nodes[t][i].sender = t;
        nodes[t][i].number = i;
        port.push(nodes[t][i]);
      }
    });
  }
  std::vector<int> next(threads, 0);
  int received = 0;
  while (received < threads * each) {
    for (PostNode* node = port.take_all(); node;) {
      auto& numbered = static_cast<Numbered&>(*node);
      node = node->next;
      EXPECT_EQ(numbered.number, next[numbered.sender]++);
      ++received;
    }
  }
  for (std::thread& sender : senders) sender.join();
}

// The sleeper looks once more after it has said that it sleeps, so no push is slept through.
TEST_F(PortTest, APushWakesASleepingOwner) {
  constexpr int rounds = 2'000;
  FutexPoller poller(port);
  std::vector<Numbered> nodes(rounds);
  std::thread sender([&] {
    for (Numbered& node : nodes) port.push(node);
  });
  int received = 0;
  while (received < rounds) {
    port.prepare_sleep();
    if (port.is_empty()) {
      poller.poll(no_deadline);
    }
    port.awake();
    for (PostNode* node = port.take_all(); node; node = node->next) ++received;
  }
  sender.join();
  EXPECT_FALSE(port.is_asleep());
}

TEST_F(PortTest, AWakeBeforeTheSleepIsNotSleptThrough) {
  FutexPoller poller(port);
  port.prepare_sleep();
  EXPECT_TRUE(port.is_asleep());
  port.wake();
  poller.poll(no_deadline);  // returns at once
  EXPECT_FALSE(port.is_asleep());
}

}  // namespace
}  // namespace greenroom::detail
