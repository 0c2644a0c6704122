// Messages between hubs: each arrives once, in the order of its sender.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/system/sanitizers.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;

#if defined(GREENROOM_ASAN) || defined(GREENROOM_TSAN)
constexpr std::uint64_t messages = 400'000;
#else
constexpr std::uint64_t messages = 10'000'000;
#endif
constexpr std::uint64_t senders = 8;

struct Numbered {
  std::uint32_t sender;
  std::uint64_t number;
};
struct Finished {};

TEST(ManySenders, MessagesBetweenHubsArriveOnceAndInTheOrderOfTheirSender) {
  const int code = run({.hubs = 2}, [] {
    const Pid root = self();
    const Pid receiver = spawn({.place = Placement::next_hub}, [root] {
      std::vector<std::uint64_t> next(senders, 0);
      for (std::uint64_t received = 0; received < messages; ++received) {
        receive(
            [&](const Numbered& message) { ASSERT_EQ(message.number, next.at(message.sender)++); });
      }
      receive([](Message& more) { FAIL() << more.type_name(); }, after(0s, [] {}));
      send(root, Finished{});
    });
    for (std::uint32_t sender = 0; sender < senders; ++sender) {
      // Half of them on each hub.
      const Placement place = sender % 2 == 0 ? Placement::here : Placement::next_hub;
      spawn({.place = place}, [receiver, sender] {
        for (std::uint64_t number = 0; number < messages / senders; ++number) {
          send(receiver, Numbered{sender, number});
          if (number % 1024 == 1023) yield();
        }
      });
    }
    receive([](const Finished&) {});
    return 0;
  });
  EXPECT_EQ(code, 0);
}

TEST(ManySenders, CallsBetweenHubsAreAnsweredEach) {
  struct Counter {
    struct Add {
      int by;
    };
    int handle(const Add& add) { return sum += add.by; }
    int sum = 0;
  };
  const int code = run({.hubs = 2}, [] {
    const auto counter = start<Counter>(SpawnOptions{.place = Placement::next_hub});
    const Pid root = self();
    constexpr int callers = 8;
    constexpr int calls = 2'000;
    for (int caller = 0; caller < callers; ++caller) {
      spawn({.place = caller % 2 == 0 ? Placement::here : Placement::next_hub}, [counter, root] {
        for (int i = 0; i < calls; ++i) call(counter, Counter::Add{1});
        send(root, Finished{});
      });
    }
    for (int caller = 0; caller < callers; ++caller) receive([](const Finished&) {});
    EXPECT_EQ(call(counter, Counter::Add{0}), callers * calls);
    return 0;
  });
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace greenroom
