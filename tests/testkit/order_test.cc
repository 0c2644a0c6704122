// The order in which a simulation runs a hub's ready tasks.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using testkit::Order;
using testkit::simulate;
using testkit::Simulation;

constexpr std::uint64_t seeds = 50;

// The order in which four greenlets write their letter: three times, then once more after a sleep.
std::string letters_of(const Simulation& simulation) {
  std::string letters;
  simulate(simulation, [&] {
    std::vector<green::Greenlet<>> all;
    for (char letter = 'a'; letter < 'e'; ++letter) {
      all.push_back(green::spawn([&letters, letter] {
        for (int i = 0; i < 3; ++i) {
          letters.push_back(letter);
          yield();
        }
        sleep(1s);
        letters.push_back(letter);
      }));
    }
    green::joinall(all);
  });
  return letters;
}

TEST(Order, FifoRunsTheReadyAsTheyBecameReadyWhateverTheSeed) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed)
    EXPECT_EQ(letters_of({.seed = seed, .order = Order::fifo}), "abcdabcdabcdabcd") << seed;
}

TEST(Order, SeededIsTheSeeds) {
  std::set<std::string> orders;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) orders.insert(letters_of({.seed = seed}));
  EXPECT_GT(orders.size(), seeds / 2);
}

// What three actors on hubs of their own send to the body.
std::string mail_of(const Simulation& simulation) {
  auto letters = std::make_shared<std::string>();
  simulate(simulation, [letters] {
    const Pid body = self();
    for (char letter = 'a'; letter < 'd'; ++letter) {
      spawn(SpawnOptions{.place = Placement::next_hub}, [body, letter] {
        for (int i = 0; i < 3; ++i) {
          send(body, letter);
          yield();
        }
      });
    }
    for (int i = 0; i < 9; ++i) receive([&](char letter) { letters->push_back(letter); });
  });
  return *letters;
}

TEST(Order, FifoLeavesItToTheSeedWhichHubGoesOn) {
  std::set<std::string> orders;
  for (std::uint64_t seed = 0; seed < seeds; ++seed)
    orders.insert(mail_of({.seed = seed, .hubs = 4, .order = Order::fifo}));
  EXPECT_GT(orders.size(), seeds / 2);
}

// Another hub wakes two greenlets of this one before either can run.
TEST(Order, FifoLetsAllThatIsInAnInboxArriveAtOnce) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    auto letters = std::make_shared<std::string>();
    simulate({.seed = seed, .hubs = 2, .cross_at = 1'000'000, .order = Order::fifo}, [letters] {
      green::Event a, b;
      auto first = green::spawn([&] {
        a.wait();
        letters->push_back('a');
        yield();
        letters->push_back('c');
      });
      auto second = green::spawn([&] {
        b.wait();
        letters->push_back('b');
      });
      yield();  // both wait
      spawn(SpawnOptions{.place = Placement::next_hub}, [&] {
        a.set();
        b.set();
      });
      green::joinall({first, second});
    });
    EXPECT_EQ(*letters, "abc") << seed;
  }
}

}  // namespace
}  // namespace greenroom
