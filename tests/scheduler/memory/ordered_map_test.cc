#include "greenroom/scheduler/memory/ordered_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace greenroom::detail {
namespace {

using Map = OrderedMap<std::uint64_t, std::uint64_t>;
using Entries = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

Entries entries_of(Map& map) {
  Entries entries;
  map.for_each([&](std::uint64_t key, std::uint64_t value) { entries.emplace_back(key, value); });
  return entries;
}

TEST(OrderedMap, IteratesInInsertionOrder) {
  Map map;
  for (const std::uint64_t key : {5, 3, 9, 1}) map[key] = key * 10;
  EXPECT_EQ(entries_of(map), (Entries{{5, 50}, {3, 30}, {9, 90}, {1, 10}}));
}

TEST(OrderedMap, KeyThatIsErasedAndMadeAgainIsTheLast) {
  Map map;
  for (const std::uint64_t key : {1, 2, 3}) map[key] = key;
  EXPECT_TRUE(map.erase(1));
  EXPECT_FALSE(map.erase(1));
  EXPECT_EQ(map.find(1), nullptr);
  map[1] = 7;
  map[2] = 8;  // is there: keeps its place
  EXPECT_EQ(entries_of(map), (Entries{{2, 8}, {3, 3}, {1, 7}}));
}

TEST(OrderedMap, ValueThatIsMadeAgainIsNew) {
  Map map;
  map[1] = 5;
  map.erase(1);
  EXPECT_EQ(map[1], 0U);
}

// Small and large, growing and shrinking.
TEST(OrderedMap, HoldsWhatAListHolds) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    Map map;
    Entries model;
    for (int step = 0; step < 4'000; ++step) {
      const std::uint64_t key = 1 + random() % (seed * 5);
      const auto known =
          std::find_if(model.begin(), model.end(), [&](auto& entry) { return entry.first == key; });
      ASSERT_EQ(map.find(key) != nullptr, known != model.end());
      if (known != model.end()) {
        ASSERT_EQ(*map.find(key), known->second);
        ASSERT_TRUE(map.erase(key));
        model.erase(known);
      } else {
        const std::uint64_t value = random();
        map[key] = value;
        model.emplace_back(key, value);
      }
      ASSERT_EQ(map.size(), model.size());
      ASSERT_EQ(map.empty(), model.empty());
      if (step % 16 == 0) {
        ASSERT_EQ(entries_of(map), model);
      }
    }
    EXPECT_EQ(entries_of(map), model);
  }
}

}  // namespace
}  // namespace greenroom::detail
