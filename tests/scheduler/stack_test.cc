#include "greenroom/scheduler/stack.h"

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

namespace greenroom::detail {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool is_sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif
#else
constexpr bool is_sanitized = false;
#endif

constexpr std::size_t page = 4096;
constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

// A pool that was told by the environment which guards to begin with.
struct PoolWithGuard {
  explicit PoolWithGuard(const char* kind) {
    ::setenv("GREENROOM_STACK_GUARD", kind, 1);
    pool.emplace();
    ::unsetenv("GREENROOM_STACK_GUARD");
  }
  StackPool* operator->() { return &*pool; }

  std::optional<StackPool> pool;
};

bool has_advised_guards() {
  StackPool pool;
  pool.acquire();
  return pool.statistics().guarded_by_madvise == 1;
}

std::size_t resident_bytes() {
  std::size_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * page;
}

std::size_t count_mappings() {
  std::ifstream maps("/proc/self/maps");
  return static_cast<std::size_t>(
      std::count(std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>(), '\n'));
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

// As a fiber's first frames would.
void touch(Stack stack) { stack.top()[-8] = std::byte{1}; }
void touch_deep(Stack stack) {
  for (std::byte* p = stack.base; p < stack.top(); p += page) *p = std::byte{1};
}

std::vector<Stack> acquire(StackPool& pool, std::size_t count, std::size_t size = 0) {
  std::vector<Stack> stacks;
  stacks.reserve(count);
  for (std::size_t i = 0; i < count; ++i) stacks.push_back(pool.acquire(size));
  return stacks;
}

void release(StackPool& pool, const std::vector<Stack>& stacks) {
  for (Stack stack : stacks) pool.release(stack);
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
    EXPECT_EQ(pool.statistics().live, 0U);
    EXPECT_EQ(pool.statistics().warm + pool.statistics().cold, 20'000U);
    stacks = acquire(pool, 20'000);
  }
}

class StackGuard : public ::testing::TestWithParam<const char*> {};

TEST_P(StackGuard, WritingBelowTheBaseDies) {
  PoolWithGuard pool(GetParam());
  const Stack stack = pool->acquire();
  if (is_sanitized) {
    EXPECT_DEATH(stack.base[-1] = std::byte{1}, "");
  } else {
    EXPECT_EXIT(stack.base[-1] = std::byte{1}, ::testing::KilledBySignal(SIGSEGV), "");
    EXPECT_EXIT(stack.base[-4096] = std::byte{1}, ::testing::KilledBySignal(SIGSEGV), "");
  }
}

TEST_P(StackGuard, SurvivesTheDiscardingOfPages) {
  PoolWithGuard pool(GetParam());
  release(*pool.pool, acquire(*pool.pool, 5000));
  EXPECT_GT(pool->statistics().cold, 0U);
  for (Stack stack : acquire(*pool.pool, 5000)) {
    touch(stack);
    ASSERT_TRUE(is_stack_guard(stack.base - 1));
  }
  const Stack last = acquire(*pool.pool, 1).front();
  EXPECT_DEATH(last.base[-1] = std::byte{1}, "");
}

TEST_P(StackGuard, IsKnownToTheOverflowReport) {
  std::byte* base = nullptr;
  {
    PoolWithGuard pool(GetParam());
    const Stack stack = pool->acquire();
    base = stack.base;
    EXPECT_TRUE(is_stack_guard(base - 1));
    EXPECT_TRUE(is_stack_guard(base - page));
    EXPECT_FALSE(is_stack_guard(base));
    EXPECT_FALSE(is_stack_guard(stack.top() - 1));
    EXPECT_FALSE(is_stack_guard(base - page + StackPool::default_size));  // never acquired
    const Stack large = pool->acquire(mib);
    EXPECT_TRUE(is_stack_guard(large.base - 16 * kib));
    pool->release(stack);
    EXPECT_TRUE(is_stack_guard(base - 1));
  }
  EXPECT_FALSE(is_stack_guard(base - 1));
  EXPECT_FALSE(is_stack_guard(nullptr));
  EXPECT_FALSE(is_stack_guard(&base));
}

INSTANTIATE_TEST_SUITE_P(Kinds, StackGuard, ::testing::Values("madvise", "mprotect"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST(StackGuards, OfMprotectIsTakenWhenTheEnvironmentSaysSo) {
  PoolWithGuard pool("mprotect");
  acquire(*pool.pool, 10);
  EXPECT_EQ(pool->statistics().guarded_by_mprotect, 10U);
  EXPECT_EQ(pool->statistics().guarded_by_madvise, 0U);
}

TEST(StackGuards, IsLeftOutWhenTheEnvironmentSaysSo) {
  PoolWithGuard pool("none");
  const Stack stack = pool->acquire();
  EXPECT_EQ(pool->statistics().unguarded, 1U);
  EXPECT_FALSE(is_stack_guard(stack.base - 1));
  stack.base[-1] = std::byte{1};
}

TEST(StackGuards, UnknownInTheEnvironmentIsReportedAndIgnored) {
  const auto body = [] {
    PoolWithGuard pool("electric");
    pool->acquire();
    std::_Exit(pool->statistics().unguarded == 0 ? 0 : 1);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "GREENROOM_STACK_GUARD");
}

// Locked mappings refuse the advice.
TEST(StackGuards, OfMprotectIsTakenWhereAdviceIsRefused) {
  if (is_sanitized) GTEST_SKIP() << "sanitizers make mlockall do nothing";
  const auto body = [] {
    if (::mlockall(MCL_FUTURE | MCL_ONFAULT) != 0) std::_Exit(0);
    StackPool pool;
    if (!pool.acquire()) std::_Exit(2);
    ::munlockall();
    std::_Exit(pool.statistics().guarded_by_mprotect == 1 ? 0 : 1);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "");
}

TEST(StackGuards, OfMprotectLeavesMappingsToTheRestOfTheProcess) {
  if (is_sanitized) GTEST_SKIP() << "the sanitizer's own mappings would be counted";
  std::size_t most_mappings = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> most_mappings;
  if (most_mappings > 150'000) GTEST_SKIP() << "too many to run out of";
  const auto body = [] {
    PoolWithGuard pool("mprotect");
    acquire(*pool.pool, 100'000);
    const auto statistics = pool->statistics();
    std::fprintf(stderr, "%zu guards, %zu mappings\n", statistics.guarded_by_mprotect,
                 count_mappings());
    const bool is_some_unguarded = statistics.guarded_by_mprotect > 0 &&
                                   statistics.guarded_by_mprotect + statistics.unguarded == 100'000;
    void* other = ::mmap(nullptr, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::_Exit(is_some_unguarded && other != MAP_FAILED ? 0 : 1);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "further stacks have no guard page");
}

TEST(StackGuards, MayBeAskedForWhilePoolsComeAndGo) {
  std::atomic<bool> is_over = false;
  StackPool pool;
  const Stack mine = pool.acquire();
  std::thread asking([&] {
    while (!is_over.load()) {
      EXPECT_TRUE(is_stack_guard(mine.base - 1));
      EXPECT_FALSE(is_stack_guard(mine.base));
    }
  });
  std::vector<std::thread> pools;
  pools.reserve(3);
  for (int thread = 0; thread < 3; ++thread) {
    pools.emplace_back([] {
      for (int round = 0; round < 100; ++round) {
        StackPool other;
        for (Stack stack : acquire(other, 70)) EXPECT_TRUE(is_stack_guard(stack.base - 1));
      }
    });
  }
  for (auto& thread : pools) thread.join();
  is_over = true;
  asking.join();
}

TEST(StackPool, AMillionGuardedStacksAreFewMappings) {
  if (is_sanitized || !has_advised_guards()) GTEST_SKIP() << "no MADV_GUARD_INSTALL here";
  const std::size_t before = count_mappings();
  StackPool pool;
  for (int i = 0; i < 1'000'000; ++i) pool.acquire();
  EXPECT_EQ(pool.statistics().guarded_by_madvise, 1'000'000U);
  EXPECT_LT(count_mappings(), before + 300);
}

TEST(StackPool, MemoryOfAHundredThousandStacksIsGivenBackWhenTheyAreReleased) {
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
  EXPECT_LE(pool.statistics().warm, 4096U);
  if (is_sanitized) return;
  EXPECT_LE(resident_bytes(), before + 20 * mib);
  pool.trim_unused();  // used since the last time
  pool.trim_unused();
  EXPECT_LE(pool.statistics().warm, 64U);
  EXPECT_LE(resident_bytes(), before + 4 * mib);
}

TEST(StackPool, AColdStackHoldsNoMemory) {
  StackPool pool;
  std::vector<Stack> stacks = acquire(pool, 5000);
  for (Stack stack : stacks) touch_deep(stack);
  release(pool, stacks);
  EXPECT_EQ(pool.statistics().cold, 2049U);
  EXPECT_EQ(resident_pages(stacks.front()), 0U);
  EXPECT_GT(resident_pages(stacks.back()), 1U);
}

TEST(StackPool, TrimmingTakesOnlyWhatWasNotNeededSinceTheLastTime) {
  StackPool pool;
  release(pool, acquire(pool, 1000));
  pool.trim_unused();
  EXPECT_EQ(pool.statistics().warm, 1000U);
  release(pool, acquire(pool, 300));
  pool.trim_unused();
  EXPECT_EQ(pool.statistics().warm, 300U);
  pool.trim_unused();
  EXPECT_EQ(pool.statistics().warm, 64U);
  const std::size_t calls = pool.statistics().system_calls;
  pool.trim_unused();
  EXPECT_LE(pool.statistics().system_calls, calls + 16);
}

TEST(StackPool, TrimmingTakesTheDeepPagesOfWarmStacks) {
  StackPool pool;
  std::vector<Stack> stacks = acquire(pool, 40);
  for (Stack stack : stacks) touch_deep(stack);
  release(pool, stacks);
  for (int i = 0; i < 3; ++i) pool.trim_unused();
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
  std::vector<Stack> stacks = acquire(pool, 3000);
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
