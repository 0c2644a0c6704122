// The seed of a simulation: the order that it chooses, where it comes from, and that it is told.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using testkit::simulate;

// Writers that yield and send; the order in which they came to write, by letter.
std::string interleaving(std::uint64_t seed, int hubs) {
  auto order = std::make_shared<std::string>();
  simulate({.seed = seed, .hubs = hubs}, [order] {
    const Pid collector = self();
    for (char letter = 'a'; letter < 'e'; ++letter) {
      spawn(SpawnOptions{.place = Placement::next_hub}, [letter, collector] {
        for (int i = 0; i < 4; ++i) {
          send(collector, letter);
          yield();
        }
      });
    }
    for (int i = 0; i < 16; ++i) receive([&](char letter) { order->push_back(letter); });
  });
  return *order;
}

TEST(SeedDeathTest, IsToldWhenTheProcessAborts) {
  EXPECT_DEATH(simulate({.seed = 4711, .kill_at = 3}, [] { std::abort(); }),
               "GREENROOM_SEED=4711 runs it again, with .kill_at = 3");
  EXPECT_DEATH(
      {
        simulate({.seed = 4711}, [] {});
        std::fputs("after it\n", stderr);
        std::abort();
      },
      "^after it\n$");
}

TEST(Seed, TheSameOneGivesTheSameOrderAndTheSameTrace) {
  for (const int hubs : {1, 2, 3}) {
    EXPECT_EQ(interleaving(7, hubs), interleaving(7, hubs)) << hubs;
    auto trace = [&] {
      return simulate({.seed = 7, .hubs = hubs},
                      [] {
                        Tasks<void> tasks;
                        for (int i = 1; i < 5; ++i)
                          tasks.start([i] { sleep(std::chrono::seconds(i % 2)); });
                        tasks.collect(10s);
                      })
          .trace;
    };
    EXPECT_EQ(trace(), trace()) << hubs;
  }
}

TEST(Seed, DifferentOnesGiveDifferentOrders) {
  for (const int hubs : {1, 2}) {
    std::set<std::string> orders;
    for (std::uint64_t seed = 0; seed < 20; ++seed) orders.insert(interleaving(seed, hubs));
    EXPECT_GT(orders.size(), 15U) << hubs;
  }
}

TEST(Seed, MessagesOfOneSenderStayInTheirOrder) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    simulate({.seed = seed, .hubs = 2}, [] {
      const Pid me = self();
      spawn(SpawnOptions{.place = Placement::next_hub}, [me] {
        for (int i = 0; i < 10; ++i) send(me, i);
      });
      for (int i = 0; i < 10; ++i) receive([&](int got) { EXPECT_EQ(got, i); });
    });
  }
}

TEST(Seed, IsTakenFromTheEnvironmentIfItIsThere) {
  const std::string of_seven = interleaving(7, 1);
  setenv("GREENROOM_SEED", "7", 1);
  const std::string overridden = interleaving(8, 1);
  unsetenv("GREENROOM_SEED");
  EXPECT_EQ(overridden, of_seven);
  EXPECT_NE(interleaving(8, 1), of_seven);
}

TEST(Seed, OfTheEnvironmentMustBeANumber) {
  for (const char* wrong : {"seven", "7 ", "-7", "99999999999999999999"}) {
    setenv("GREENROOM_SEED", wrong, 1);
    EXPECT_THROW(interleaving(7, 1), std::invalid_argument) << wrong;
  }
  setenv("GREENROOM_SEED", "0x7", 1);
  const std::string in_hexadecimal = interleaving(8, 1);
  setenv("GREENROOM_SEED", "", 1);
  const std::string preset = interleaving(8, 1);
  unsetenv("GREENROOM_SEED");
  EXPECT_EQ(in_hexadecimal, interleaving(7, 1));
  EXPECT_EQ(preset, interleaving(8, 1));
}

TEST(Seed, IsPrintedWhenTheBodyThrows) {
  testing::internal::CaptureStderr();
  EXPECT_THROW(simulate({.seed = 4711}, [] { throw std::runtime_error("wrong"); }),
               std::runtime_error);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("GREENROOM_SEED=4711"), std::string::npos);
}

}  // namespace
}  // namespace greenroom
