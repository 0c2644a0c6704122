// What the tests of stacks and of their guards share.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <vector>

#include "greenroom/scheduler/fiber/stack.h"
#include "greenroom/scheduler/system/sanitizers.h"

namespace greenroom::detail {

#if defined(GREENROOM_ASAN) || defined(GREENROOM_TSAN)
inline constexpr bool is_sanitized = true;
#else
inline constexpr bool is_sanitized = false;
#endif

inline constexpr std::size_t page = 4096;
inline constexpr std::size_t kib = 1024;
inline constexpr std::size_t mib = 1024 * kib;

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

inline std::size_t count_mappings() {
  std::ifstream maps("/proc/self/maps");
  return static_cast<std::size_t>(
      std::count(std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>(), '\n'));
}

// As a fiber's first frames would.
inline void touch(Stack stack) { stack.top()[-8] = std::byte{1}; }

inline std::vector<Stack> acquire(StackPool& pool, std::size_t count, std::size_t size = 0) {
  std::vector<Stack> stacks;
  stacks.reserve(count);
  for (std::size_t i = 0; i < count; ++i) stacks.push_back(pool.acquire(size));
  return stacks;
}

inline void release(StackPool& pool, const std::vector<Stack>& stacks) {
  for (Stack stack : stacks) pool.release(stack);
}

inline void give_back_all(StackPool& pool, StackPool::HubState hub) {
  while (pool.give_back(hub)) {
  }
}

}  // namespace greenroom::detail
