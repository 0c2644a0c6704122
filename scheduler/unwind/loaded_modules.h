// Whether what is known of code by its address still holds: a library that is unloaded leaves its
// addresses to others.
#pragma once

#include <cstdint>

namespace greenroom::detail {

// How many libraries have been unloaded so far. Any thread.
std::uint64_t count_unloaded_libraries() noexcept;

// While one lives, count_unloaded_libraries() answers `count`, and does not wait for the loader's
// lock, which the maker of this holds for tenths of a second: nothing is unloaded meanwhile. One at
// a time.
class KnownUnloaded {
 public:
  explicit KnownUnloaded(std::uint64_t count) noexcept;
  ~KnownUnloaded();
  KnownUnloaded(const KnownUnloaded&) = delete;
  KnownUnloaded& operator=(const KnownUnloaded&) = delete;
};

}  // namespace greenroom::detail
