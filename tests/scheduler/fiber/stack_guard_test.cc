#include "greenroom/scheduler/fiber/stack_guard.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/fiber/stack.h"
#include "greenroom/scheduler/system/advise.h"
#include "greenroom/tests/scheduler/fiber/stack_testing.h"

namespace greenroom::detail {
namespace {

bool has_advised_guards() {
  StackPool pool;
  pool.acquire();
  return pool.statistics().guarded_by_madvise == 1;
}

// Whether this kernel takes one advice for many ranges.
bool has_batches() {
  void* memory = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const iovec range = {memory, page};
  const bool is_taken = advise_ranges(&range, 1, MADV_POPULATE_WRITE) == 1;
  ::munmap(memory, page);
  return is_taken;
}

// From now on this process gets an error for that system call, as from a kernel without it.
void refuse_system_call(unsigned number, unsigned error) {
  std::array<sock_filter, 4> filter = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program = {filter.size(), filter.data()};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) std::_Exit(3);
}

TEST(AdvisedRanges, AreCountedUpToTheFirstThatRefuses) {
  if (!has_batches()) GTEST_SKIP() << "this kernel takes advice for one range at a time";
  auto* memory = static_cast<std::byte*>(
      ::mmap(nullptr, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ::munmap(memory + 2 * page, page);
  std::array<iovec, 4> ranges;
  for (std::size_t i = 0; i < ranges.size(); ++i) ranges[i] = {memory + i * page, page};
  EXPECT_EQ(advise_ranges(ranges.data(), ranges.size(), MADV_POPULATE_WRITE), 2U);
  EXPECT_EQ(advise_ranges(&ranges[2], 1, MADV_POPULATE_WRITE), 0U);
  EXPECT_EQ(advise_ranges(&ranges[3], 1, MADV_POPULATE_WRITE), 1U);
  ::munmap(memory, 2 * page);
  ::munmap(memory + 3 * page, page);
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
  give_back_all(*pool.pool, StackPool::HubState::about_to_sleep);
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

TEST(StackGuards, ComeManyAtATimeWhileAPoolGrows) {
  if (is_sanitized || !has_advised_guards() || !has_batches())
    GTEST_SKIP() << "this kernel takes advice for one range at a time";
  StackPool pool;
  acquire(pool, 1024);
  EXPECT_EQ(pool.statistics().guarded_by_madvise, 1024U);
  // Guards and first pages of 32 stacks a time, after the first few; and slabs.
  EXPECT_LT(pool.statistics().system_calls, 150U);
  for (Stack stack : acquire(pool, 100)) EXPECT_TRUE(is_stack_guard(stack.base - 1));
}

TEST(StackGuards, ComeOneAtATimeWhereTheKernelTakesAdviceForOneRangeOnly) {
  if (is_sanitized || !has_advised_guards()) GTEST_SKIP() << "no MADV_GUARD_INSTALL here";
  for (const unsigned error : {ENOSYS, EBADF, EPERM, EINVAL}) {
    const auto body = [error] {
      refuse_system_call(SYS_process_madvise, error);
      StackPool pool;
      std::vector<Stack> stacks = acquire(pool, 300);
      bool are_guarded = pool.statistics().guarded_by_madvise == 300;
      for (Stack stack : stacks) {
        touch(stack);
        are_guarded &= is_stack_guard(stack.base - 1);
      }
      if (!are_guarded) std::_Exit(1);
      stacks.back().base[-1] = std::byte{1};
    };
    EXPECT_EXIT(body(), ::testing::KilledBySignal(SIGSEGV), "") << "error " << error;
  }
}

TEST(StackGuards, DoNotCostMemoryOfMoreThanAsManyStacksAgainAndAtMost32) {
  if (is_sanitized) GTEST_SKIP() << "the sanitizer's own memory would be counted";
  for (const std::size_t used : {1, 2, 5, 40, 63}) {
    StackPool pool;
    std::vector<Stack> stacks = acquire(pool, used);
    std::size_t resident = 0;
    // The slab is larger: these slots have never been used.
    for (std::size_t slot = 0; slot < 64; ++slot) {
      Stack any = stacks.front();
      const auto base = reinterpret_cast<std::uintptr_t>(any.base) / StackPool::default_size *
                        StackPool::default_size;
      unsigned char state = 0;
      const auto top = base + (slot + 1) * StackPool::default_size - page;
      EXPECT_EQ(::mincore(reinterpret_cast<void*>(top), page, &state), 0);
      resident += state & 1U;
    }
    EXPECT_LE(resident, std::min(2 * used, used + 32));
  }
}

TEST(StackGuards, OfAMillionStacksAreFewMappings) {
  if (is_sanitized || !has_advised_guards()) GTEST_SKIP() << "no MADV_GUARD_INSTALL here";
  const std::size_t before = count_mappings();
  StackPool pool;
  for (int i = 0; i < 1'000'000; ++i) {
    const Stack stack = pool.acquire();
    // As nobody uses it, its first page need not be kept.
    ::madvise(stack.base + ((stack.size - 1) & ~(page - 1)), page, MADV_DONTNEED);
  }
  EXPECT_EQ(pool.statistics().guarded_by_madvise, 1'000'000U);
  EXPECT_LT(count_mappings(), before + 300);
}

}  // namespace
}  // namespace greenroom::detail
