// How much stack the caller has, by what its hub knows.
#pragma once

#include <cstddef>

#include "greenroom/scheduler/hub/hub.h"

namespace greenroom::probe {

// Rounded up to the size of the stack, guard and colour included; 0 for a thread's own.
inline std::size_t stack_room() {
  Hub& hub = Hub::current();
  const auto [low, high] = hub.stack_bounds(*hub.current_task());
  return low ? detail::StackPool::rounded(static_cast<std::size_t>(high - low)) : 0;
}

inline constexpr std::size_t kib = 1024;

}  // namespace greenroom::probe
