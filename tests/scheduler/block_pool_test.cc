#include "greenroom/scheduler/block_pool.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "greenroom/scheduler/sanitizers.h"

namespace greenroom::detail {
namespace {

#if defined(GREENROOM_ASAN) || defined(GREENROOM_TSAN)
constexpr bool is_pooled = false;
#else
constexpr bool is_pooled = true;
#endif

// Sizes at the ends of classes, of the pool, and beyond it.
class BlockPoolSizes : public testing::TestWithParam<std::size_t> {};

TEST_P(BlockPoolSizes, GivesAlignedBlocksThatDoNotOverlap) {
  const std::size_t size = GetParam();
  BlockPool pool;
  std::vector<unsigned char*> blocks;
  for (int i = 0; i < 200; ++i) {
    auto* block = static_cast<unsigned char*>(pool.allocate(size));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % BlockPool::granule, 0u);
    std::memset(block, i, size);
    blocks.push_back(block);
  }
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(blocks[i][0], i);
    EXPECT_EQ(blocks[i][size - 1], i);
    pool.release(blocks[i], size);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, BlockPoolSizes,
                         testing::Values(1, 15, 16, 17, 64, 511, 512, 513, 5000));

TEST(BlockPool, UsesTheLastOneReleasedFirst) {
  if (!is_pooled) GTEST_SKIP() << "under a sanitizer every block is malloc's";
  BlockPool pool;
  void* first = pool.allocate(40);
  void* second = pool.allocate(40);
  pool.release(first, 40);
  pool.release(second, 40);
  EXPECT_EQ(pool.allocate(48), second) << "the same class";
  EXPECT_EQ(pool.allocate(33), first);
  pool.release(first, 40);
  pool.release(second, 40);
}

// What one hub only receives feeds another one that only sends.
TEST(BlockPool, BlocksReleasedElsewhereAreUsedAgain) {
  if (!is_pooled) GTEST_SKIP() << "under a sanitizer every block is malloc's";
  BlockPool sender;
  BlockPool receiver;
  std::set<void*> seen;
  for (int i = 0; i < 100'000; ++i) {
    void* block = sender.allocate(64);
    seen.insert(block);
    receiver.release(block, 64);
  }
  EXPECT_LT(seen.size(), 1000u);
}

TEST(BlockPool, WhatAPoolHoldsAtItsEndIsUsedAgain) {
  if (!is_pooled) GTEST_SKIP() << "under a sanitizer every block is malloc's";
  std::set<void*> seen;
  for (int round = 0; round < 200; ++round) {
    BlockPool pool;
    std::array<void*, 10> blocks;
    for (void*& block : blocks) block = pool.allocate(320);
    for (void* block : blocks) {
      seen.insert(block);
      pool.release(block, 320);
    }
  }
  EXPECT_LT(seen.size(), 1000u);
}

TEST(BlockPool, ThreadsWithoutAHubMayAllocateAndRelease) {
  constexpr int threads = 3;
  std::mutex mutex;
  std::vector<std::pair<unsigned char*, std::size_t>> exchanged;
  std::vector<std::thread> workers;
  workers.reserve(threads);
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      for (int i = 0; i < 3'000; ++i) {
        const std::size_t size = 1 + static_cast<std::size_t>((i * 37 + t) % 600);
        auto* block = static_cast<unsigned char*>(allocate_block(size));
        std::memset(block, t, size);
        const std::lock_guard lock(mutex);
        exchanged.emplace_back(block, size);
        if (exchanged.size() > 16) {
          const auto [other, other_size] = exchanged[static_cast<std::size_t>(i) % 16];
          EXPECT_EQ(other[0], other[other_size - 1]);
          release_block(other, other_size);
          exchanged[static_cast<std::size_t>(i) % 16] = exchanged.back();
          exchanged.pop_back();
        }
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const auto& [block, size] : exchanged) release_block(block, size);
}

TEST(BlockPool, AThreadsOwnPoolIsUsedWhereThereIsOne) {
  BlockPool pool;
  thread_block_pool = &pool;
  void* block = allocate_block(100);
  release_block(block, 100);
  if (is_pooled) {
    EXPECT_EQ(pool.allocate(100), block);
    pool.release(block, 100);
  }
  thread_block_pool = nullptr;
}

}  // namespace
}  // namespace greenroom::detail
