#include "greenroom/scheduler/memory/block_pool.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "greenroom/scheduler/system/sanitizers.h"

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
  EXPECT_EQ(pool.allocate(64), second) << "the same class";
  EXPECT_EQ(pool.allocate(33), first);
  pool.release(first, 40);
  pool.release(second, 40);
}

// Or two processors that use neighbours would take the line from each other.
TEST(BlockPool, ABlockThatIsMostOfACacheLineHasItToItself) {
  if (!is_pooled) GTEST_SKIP() << "under a sanitizer every block is malloc's";
  BlockPool pool;
  for (const std::size_t size : {33, 48, 49, 64}) {
    void* first = pool.allocate(size);
    void* second = pool.allocate(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % 64, 0u) << size;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(second) % 64, 0u) << size;
    pool.release(first, size);
    pool.release(second, size);
  }
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

// Several to each end, so that batches change hands both ways at once.
TEST(BlockPool, HubsThatFeedEachOtherNeverShareABlock) {
  constexpr int threads = 3;
  constexpr int rounds = 300;
  constexpr int blocks = 500;
  constexpr std::size_t size = 80;
  std::mutex mutex;
  std::vector<std::vector<unsigned char*>> handed_on;
  std::vector<std::thread> workers;
  workers.reserve(threads);
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      BlockPool pool;
      for (int round = 0; round < rounds; ++round) {
        std::vector<unsigned char*> mine;
        for (int i = 0; i < blocks; ++i) {
          mine.push_back(static_cast<unsigned char*>(pool.allocate(size)));
          std::memset(mine.back(), t, size);
        }
        for (unsigned char* block : mine) {
          EXPECT_EQ(block[0], t);
          EXPECT_EQ(block[size - 1], t);
        }
        std::vector<unsigned char*> others;
        {
          const std::lock_guard lock(mutex);
          handed_on.push_back(std::move(mine));
          std::swap(others, handed_on[static_cast<std::size_t>(round) % handed_on.size()]);
        }
        for (unsigned char* block : others) pool.release(block, size);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const auto& left : handed_on) {
    for (unsigned char* block : left) release_block(block, size);
  }
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
