#include "greenroom/scheduler/memory/flat_index.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <utility>

#include "greenroom/actors/values/pid.h"

namespace greenroom::detail {
namespace {

TEST(FlatIndex, IsEmptyUntilSomethingIsInserted) {
  FlatIndex<std::uint64_t, int> index;
  EXPECT_TRUE(index.empty());
  EXPECT_EQ(index.find(1), nullptr);
  EXPECT_FALSE(index.erase(1));
  index.insert(1, 10);
  EXPECT_EQ(index.size(), 1U);
  ASSERT_NE(index.find(1), nullptr);
  EXPECT_EQ(*index.find(1), 10);
  EXPECT_EQ(index.find(0), nullptr);
  EXPECT_FALSE(index.erase(0));
  EXPECT_TRUE(index.erase(1));
  EXPECT_TRUE(index.empty());
}

TEST(FlatIndex, IsEmptyOnceItWasMovedFrom) {
  FlatIndex<std::uint64_t, int> index;
  for (std::uint64_t key = 1; key < 20; ++key) index.insert(key, 1);
  FlatIndex<std::uint64_t, int> other = std::move(index);
  EXPECT_EQ(other.size(), 19U);
  EXPECT_TRUE(index.empty());  // NOLINT(bugprone-use-after-move)
  index.insert(1, 2);
  index = std::move(other);
  EXPECT_EQ(index.size(), 19U);
  EXPECT_EQ(*index.find(1), 1);
}

TEST(FlatIndex, KeepsWhatCanOnlyBeMoved) {
  FlatIndex<Pid, std::unique_ptr<int>> index;
  for (std::uint64_t n = 1; n <= 100; ++n) index.insert(Pid{0, 0, n}, std::make_unique<int>(n));
  for (std::uint64_t n = 1; n <= 100; ++n) EXPECT_EQ(**index.find(Pid{0, 0, n}), n);
}

// Few different keys, so that they collide, and are erased from the middle of a run.
TEST(FlatIndex, HoldsWhatAMapHolds) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    FlatIndex<std::uint64_t, std::uint32_t> index;
    std::map<std::uint64_t, std::uint32_t> model;
    for (int step = 0; step < 20'000; ++step) {
      const std::uint64_t key = 1 + random() % (seed * 40);
      const bool is_known = model.contains(key);
      ASSERT_EQ(index.find(key) != nullptr, is_known);
      if (is_known) {
        ASSERT_EQ(*index.find(key), model[key]);
        ASSERT_TRUE(index.erase(key));
        model.erase(key);
      } else {
        const auto value = static_cast<std::uint32_t>(random());
        index.insert(key, value);
        model[key] = value;
      }
      ASSERT_EQ(index.size(), model.size());
    }
    std::map<std::uint64_t, std::uint32_t> seen;
    index.for_each([&](std::uint64_t key, std::uint32_t value) { seen[key] = value; });
    EXPECT_EQ(seen, model);
    for (const auto& [key, value] : model) EXPECT_TRUE(index.erase(key));
    EXPECT_TRUE(index.empty());
    for (const auto& [key, value] : model) EXPECT_EQ(index.find(key), nullptr);
  }
}

}  // namespace
}  // namespace greenroom::detail
