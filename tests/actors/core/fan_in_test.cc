// Many senders and one receiver: how far it falls behind.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>

#include "greenroom/scheduler/system/sanitizers.h"
#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

constexpr std::int64_t senders = 60;
// What all send in a round must not take the receiver 10 ms: then its slice ends before.
#if defined(GREENROOM_ASAN) || defined(GREENROOM_TSAN)
constexpr std::int64_t a_slice = 50;
#else
constexpr std::int64_t a_slice = 1000;
#endif
constexpr std::int64_t slices = 12;
constexpr std::int64_t round =
    senders * a_slice;  // of all senders between two turns of the receiver

struct Item {};
struct Done {};

struct Counts {
  std::int64_t sent = 0;
  std::int64_t received = 0;
  std::int64_t backlog = 0;  // the largest
};

// Sends all, in slices, from all senders; `send_one` sends one.
template <class F>
void send_from_all(Counts& counts, F send_one) {
  for (std::int64_t i = 0; i < senders; ++i) {
    spawn([&counts, send_one] {
      for (std::int64_t n = 0; n < slices; ++n) {
        for (std::int64_t k = 0; k < a_slice; ++k) send_one();
        counts.sent += a_slice;
        counts.backlog = std::max(counts.backlog, counts.sent - counts.received);
        yield();
      }
    });
  }
}

TEST(FanIn, TheBacklogOfAReceiveLoopStaysWithinTwoSlicesOfAllItsSenders) {
  Counts counts;
  run([&] {
    const Pid receiver = spawn([&counts, boss = self()] {
      while (counts.received < round * slices) receive([&](Item) { ++counts.received; });
      send(boss, Done{});
    });
    send_from_all(counts, [receiver] { send(receiver, Item{}); });
    receive([](Done) {});
  });
  EXPECT_EQ(counts.received, round * slices);
  EXPECT_LE(counts.backlog, 2 * round);
}

struct Receiver {
  Counts& counts;
  Pid boss;
  void handle(const Item&) {
    if (++counts.received == round * slices) send(boss, Done{});
  }
};

TEST(FanIn, TheBacklogOfAServerStaysWithinTwoSlicesOfAllItsSenders) {
  Counts counts;
  run([&] {
    const auto server = start<Receiver>(std::ref(counts), self());
    send_from_all(counts, [server] { cast(server, Item{}); });
    receive([](Done) {});
  });
  EXPECT_EQ(counts.received, round * slices);
  EXPECT_LE(counts.backlog, 2 * round);
}

}  // namespace
}  // namespace greenroom
