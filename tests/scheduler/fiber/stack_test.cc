#include "greenroom/scheduler/fiber/stack.h"

#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <new>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/tests/scheduler/fiber/stack_testing.h"

namespace greenroom::detail {
namespace {

std::size_t resident_bytes() {
  std::size_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * page;
}

std::size_t resident_pages(Stack stack) {
  const auto end = (reinterpret_cast<std::uintptr_t>(stack.top()) + page - 1) / page * page;
  const std::size_t length = end - reinterpret_cast<std::uintptr_t>(stack.base);
  std::vector<unsigned char> in_core(length / page);
  EXPECT_EQ(::mincore(stack.base, length, in_core.data()), 0);
  std::size_t count = 0;
  for (unsigned char state : in_core) count += state & 1U;
  return count;
}

void touch_deep(Stack stack) {
  for (std::byte* p = stack.base; p < stack.top(); p += page) *p = std::byte{1};
}

void trim(StackPool& pool) {
  pool.take_stock();
  give_back_all(pool, StackPool::HubState::about_to_sleep);
}

TEST(Stack, IsFalseUntilAcquired) {
  EXPECT_FALSE(Stack());
  StackPool pool;
  EXPECT_TRUE(pool.acquire());
}

TEST(Stack, IsUsableFromBaseToTop) {
  StackPool pool;
  for (std::size_t size : {std::size_t{0}, 16 * kib, mib}) {
    const Stack stack = pool.acquire(size);
    std::memset(stack.base, 0x5A, stack.size);
    EXPECT_EQ(stack.base[0], std::byte{0x5A});
    EXPECT_EQ(stack.top()[-1], std::byte{0x5A});
  }
}

TEST(Stack, SizeIsRoundedUpToAPowerOfTwoLessTheGuardAndTheColour) {
  StackPool pool;
  const auto is_within = [](Stack stack, std::size_t most) {
    return stack.size <= most && stack.size > most - kib;
  };
  EXPECT_TRUE(is_within(pool.acquire(), 60 * kib));
  EXPECT_TRUE(is_within(pool.acquire(64 * kib), 60 * kib));
  EXPECT_TRUE(is_within(pool.acquire(1), 12 * kib));
  EXPECT_TRUE(is_within(pool.acquire(16 * kib + 1), 28 * kib));
  EXPECT_TRUE(is_within(pool.acquire(mib), 1008 * kib));
  EXPECT_TRUE(is_within(pool.acquire(200 * mib), 256 * mib - 64 * kib));
  EXPECT_EQ(pool.statistics().live, 6U);
}

TEST(Stack, OverTheLargestSizeIsRefused) {
  StackPool pool;
  EXPECT_THROW(pool.acquire(StackPool::max_size + 1), std::invalid_argument);
  EXPECT_THROW(pool.acquire(SIZE_MAX), std::invalid_argument);
}

TEST(Stack, TopsOfNeighboursAreInDifferentCacheLines) {
  StackPool pool;
  std::set<std::uintptr_t> lines;
  for (Stack stack : acquire(pool, 16)) {
    const auto top = reinterpret_cast<std::uintptr_t>(stack.top());
    EXPECT_EQ(top % 64, 0U);
    lines.insert(top % page);
  }
  EXPECT_EQ(lines.size(), 16U);
}

TEST(Stack, OfShallowUseCostsOnePage) {
  StackPool pool;
  for (Stack stack : acquire(pool, 32)) {
    std::memset(stack.top() - 3 * kib, 1, 3 * kib);
    EXPECT_EQ(resident_pages(stack), 1U);
  }
}

TEST(StackPool, ReusesTheLastReleasedFirst) {
  StackPool pool;
  const Stack a = pool.acquire(), b = pool.acquire(), large = pool.acquire(mib);
  pool.release(a);
  pool.release(large);
  pool.release(b);
  EXPECT_EQ(pool.acquire().base, b.base);
  EXPECT_EQ(pool.acquire().base, a.base);
  EXPECT_EQ(pool.acquire(mib).base, large.base);
}

TEST(StackPool, GivesOutNoStackTwice) {
  StackPool pool;
  std::set<std::byte*> bases;
  std::vector<Stack> stacks = acquire(pool, 20'000);
  for (int round = 0; round < 3; ++round) {
    bases.clear();
    for (Stack stack : stacks) EXPECT_TRUE(bases.insert(stack.base).second);
    release(pool, stacks);
    for (int i = 0; i < 20; ++i) pool.give_back(StackPool::HubState::about_to_sleep);
    EXPECT_EQ(pool.statistics().live, 0U);
    EXPECT_EQ(pool.statistics().warm, 20'000U - 20 * 128);
    EXPECT_EQ(pool.statistics().cold, 20U * 128);
    stacks = acquire(pool, 20'000);
  }
}

TEST(StackPool, MemoryOfAHundredThousandStacksIsGivenBackBeforeTheHubSleeps) {
  const std::size_t count = is_sanitized ? 10'000 : 100'000;
  StackPool pool;
  const std::size_t before = resident_bytes();
  std::vector<Stack> stacks = acquire(pool, count);
  for (Stack stack : stacks) touch(stack);
  if (!is_sanitized) {
    EXPECT_GE(resident_bytes(), before + count * page);
    EXPECT_LE(resident_bytes(), before + count * page + 16 * mib);
  }
  release(pool, stacks);
  EXPECT_EQ(pool.statistics().warm, count);
  EXPECT_TRUE(pool.has_surplus());
  give_back_all(pool, StackPool::HubState::about_to_sleep);
  EXPECT_EQ(pool.statistics().warm, 4096U);
  EXPECT_FALSE(pool.has_surplus());
  if (is_sanitized) return;
  EXPECT_LE(resident_bytes(), before + 20 * mib);
  trim(pool);  // used since the last time
  trim(pool);
  EXPECT_LE(pool.statistics().warm, 64U);
  EXPECT_LE(resident_bytes(), before + 4 * mib);
}

TEST(StackPool, AColdStackHoldsNoMemory) {
  StackPool pool;
  std::vector<Stack> stacks = acquire(pool, 5000);
  for (Stack stack : stacks) touch_deep(stack);
  release(pool, stacks);
  EXPECT_TRUE(pool.give_back(StackPool::HubState::about_to_sleep));
  EXPECT_EQ(pool.statistics().cold, 128U);
  give_back_all(pool, StackPool::HubState::about_to_sleep);
  EXPECT_EQ(pool.statistics().cold, 5000U - 4096U);
  EXPECT_EQ(resident_pages(stacks.front()), 0U);
  EXPECT_GT(resident_pages(stacks.back()), 1U);
}

TEST(StackPool, TrimmingTakesOnlyWhatWasNotNeededSinceTheLastTime) {
  StackPool pool;
  release(pool, acquire(pool, 1000));
  trim(pool);
  EXPECT_EQ(pool.statistics().warm, 1000U);
  release(pool, acquire(pool, 300));
  trim(pool);
  EXPECT_EQ(pool.statistics().warm, 300U);
  trim(pool);
  EXPECT_EQ(pool.statistics().warm, 64U);
  const std::size_t calls = pool.statistics().system_calls;
  trim(pool);
  EXPECT_LE(pool.statistics().system_calls, calls + 16);
}

TEST(StackPool, ABusyHubGivesBackOnlyWhatStockTakingFound) {
  StackPool pool;
  release(pool, acquire(pool, 6000));
  EXPECT_FALSE(pool.give_back(StackPool::HubState::busy));
  pool.take_stock();
  release(pool, acquire(pool, 1000));
  EXPECT_FALSE(pool.give_back(StackPool::HubState::busy));
  EXPECT_EQ(pool.statistics().warm, 6000U);
  pool.take_stock();
  EXPECT_TRUE(pool.give_back(StackPool::HubState::busy));
  EXPECT_EQ(pool.statistics().warm, 6000U - 16U);
  give_back_all(pool, StackPool::HubState::busy);
  EXPECT_EQ(pool.statistics().warm, 1000U);
  EXPECT_FALSE(pool.has_surplus());
}

TEST(StackPool, WhatIsNeededBeforeItIsGivenBackStays) {
  StackPool pool;
  release(pool, acquire(pool, 5000));
  pool.take_stock();
  pool.take_stock();
  release(pool, acquire(pool, 4500));
  give_back_all(pool, StackPool::HubState::busy);
  EXPECT_EQ(pool.statistics().warm, 4500U);
}

TEST(StackPool, TrimmingTakesTheDeepPagesOfWarmStacks) {
  StackPool pool;
  std::vector<Stack> stacks = acquire(pool, 40);
  for (Stack stack : stacks) touch_deep(stack);
  release(pool, stacks);
  for (int i = 0; i < 3; ++i) trim(pool);
  EXPECT_EQ(pool.statistics().warm, 40U);
  for (Stack stack : stacks) {
    EXPECT_LE(resident_pages(stack), 2U);
    EXPECT_GE(resident_pages(stack), 1U);
  }
}

TEST(StackPool, SlabsFarOverTheCapAreUnmapped) {
  if (is_sanitized) GTEST_SKIP() << "too many mappings";
  PoolWithGuard pool("none");
  const std::vector<Stack> kept = acquire(*pool.pool, 1);
  const std::vector<Stack> stacks = acquire(*pool.pool, 200'000);
  const std::size_t mapped = pool->statistics().mapped_bytes;
  release(*pool.pool, stacks);
  give_back_all(*pool.pool, StackPool::HubState::about_to_sleep);
  EXPECT_LE(pool->statistics().mapped_bytes, mapped / 2);
  EXPECT_LE(pool->statistics().cold, 65'536U);
  touch(kept.front());
  for (Stack stack : acquire(*pool.pool, 200'000)) touch(stack);
}

TEST(StackPool, UnmapsEverythingWhenItDies) {
  const std::size_t before = count_mappings();
  for (int round = 0; round < 100; ++round) {
    StackPool pool;
    for (Stack stack : acquire(pool, 100)) touch(stack);
    pool.release(pool.acquire(mib));
  }
  EXPECT_LE(count_mappings(), before + 10);
}

// Where only read, write and exit are allowed, anything else is death.
TEST(StackPool, ASteadyWorkloadMakesNoSystemCalls) {
  if (is_sanitized) GTEST_SKIP() << "sanitizers make their own";
  StackPool pool;
  std::vector<Stack> stacks = acquire(pool, 10'000);
  for (Stack stack : stacks) touch(stack);
  release(pool, stacks);
  const auto body = [&] {
    ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    for (int round = 0; round < 100; ++round) {
      for (Stack& stack : stacks) {
        stack = pool.acquire();
        touch(stack);
      }
      release(pool, stacks);
      for (int i = 0; i < 1000; ++i) pool.release(pool.acquire());
    }
    ::syscall(SYS_exit, 0);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "");
}

TEST(StackPool, SaysWhatToDoWhenAddressSpaceEnds) {
  if (is_sanitized) GTEST_SKIP() << "shadow memory is address space too";
  const auto body = [] {
    const rlimit limit = {512 * mib, 512 * mib};
    ::setrlimit(RLIMIT_AS, &limit);
    StackPool pool;
    try {
      acquire(pool, 100'000);
    } catch (const std::bad_alloc& error) {
      // Down to the last slab that fits.
      std::fprintf(stderr, "%zu stacks, then: %s\n", pool.statistics().live, error.what());
      std::_Exit(pool.statistics().live > 6000 ? 0 : 1);
    }
    std::_Exit(2);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "raise vm.max_map_count or `ulimit -v`");
}

}  // namespace
}  // namespace greenroom::detail
