// Stacks for fibers: a pool for one hub. Not thread-safe.
//
// Address space comes in slabs, each cut into slots of one size class. A slot is
// `[guard | usable ... top | colour]`: the guard faults on overflow, the colour (0 to 960 bytes,
// a function of the address) keeps the tops of equal stacks out of the same cache lines, and a
// stack used for less than 3 KiB costs one page of memory.
//
// A free stack is *warm*, on a last-in-first-out list with its pages as they are, or *cold*, in
// its slab and without pages. acquire and release of warm stacks make no system call: how deep a
// stack went is not looked at. What is warm is given back by the hub's housekeeping, in short steps
// from the least recently used on:
// - a hub about to sleep keeps 4096 (or 256 MiB of address space) warm;
// - a busy one that has more gives those back that nobody needed for a second, and so does an idle
//   one with fewer, down to 4 MiB of address space.
// take_stock, which counts these, also takes the deep pages, below the top two, from 16 warm stacks
// in rotation; of those that on_stack() has used, a hub about to sleep takes them. Slabs that are
// wholly cold are unmapped while there are more than 65 536 cold stacks (or 64 GiB).
//
// Stacks never used yet get their guards (stack_guard.h) and their first pages ahead, as many as
// the slab has given out, but at most 32: while a pool grows, a new stack costs half of what it
// would cost alone.
//
// Rejected: MADV_DONTNEED at release, 1.4 us and a page fault for the next user; a limit of warm
//   stacks in release: 0.4 us for each of a million that end together, and 2 us when the next
//   million comes; mincore, a system call as well; a canary below the second page: writing it costs
//   each stack a page of memory, and frames step over words without writing them; stack depth as
//   the switch saw it: blind to what was called between two switches.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <memory>
#include <vector>

#include "greenroom/scheduler/fiber/stack_guard.h"

namespace greenroom::detail {

struct Stack {
  std::byte* base = nullptr;  // lowest usable address, just above the guard
  std::size_t size = 0;       // usable bytes

  std::byte* top() const { return base + size; }  // a multiple of 64
  explicit operator bool() const { return base != nullptr; }
};

// Throws std::invalid_argument if there are no stacks of so many bytes: `option` is where they were
// asked for ("SpawnOptions::stack_size").
void check_stack_size(const char* option, std::size_t bytes);

class StackPool {
 public:
  // Bytes of address space a stack takes, guard and colour included.
  static constexpr std::size_t default_size = std::size_t{64} << 10;
  static constexpr std::size_t min_size = std::size_t{16} << 10;
  static constexpr std::size_t max_size = std::size_t{256} << 20;

  StackPool();
  // Unmaps everything, stacks still in use as well.
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  // A stack with `size`, 0 for the default, rounded up to a power of two, minus the guard (1/64,
  // from 4 to 64 KiB) and the colour. Throws std::bad_alloc, saying what to do, when the process
  // is out of address space or mappings, std::invalid_argument if `size` is over `max_size`.
  Stack acquire(std::size_t size = 0);
  // What acquire makes of a size.
  static std::size_t rounded(std::size_t size) {
    return std::bit_ceil(std::max(size == 0 ? default_size : size, min_size));
  }
  // The smallest size of which `bytes` are left without guard and colour, or max_size.
  static std::size_t size_with_room(std::size_t bytes);

  // Takes back what acquire gave; the next acquire of this size returns it.
  void release(Stack stack) noexcept;

  // The same for one of which much may have been touched: before the hub sleeps it is discarded,
  // but for the top two pages.
  void release_deep(Stack stack) noexcept;

  // What is mapped stays so when the pool dies: somebody still refers to a frame on one of its
  // stacks.
  void keep_for_ever() noexcept { is_kept_ = true; }

  // Something may be there for give_back().
  bool has_surplus() const { return has_surplus_; }

  // Counts what nobody needed since the last call as surplus. Makes up to 16 system calls: not
  // more often than about once a second, and no reason to wake up.
  void take_stock() noexcept;

  enum class HubState : bool { busy, about_to_sleep };
  // A step: makes surplus stacks of each size cold, 16 of those that take_stock() counted, or, for
  // a hub about to sleep, 128 of those and of what is over its limit. True if there are more.
  // Makes a system call for each run of neighbours.
  bool give_back(HubState hub) noexcept;

  struct Statistics {
    std::size_t mapped_bytes = 0;
    std::size_t slabs = 0;
    std::size_t live = 0;
    std::size_t warm = 0;
    std::size_t cold = 0;
    // Of the stacks mapped and used at least once:
    std::size_t guarded_by_madvise = 0;
    std::size_t guarded_by_mprotect = 0;
    std::size_t unguarded = 0;
    std::size_t system_calls = 0;  // made by this pool so far
  };
  Statistics statistics() const;

 private:
  struct Slab;
  struct SizeClass {
    std::size_t size = 0;
    std::size_t live = 0;
    std::size_t cold = 0;
    std::vector<std::byte*> warm;         // slots; the back is the last released
    std::size_t oldest_warm = 0;          // in `warm`; those before it are cold
    std::size_t fewest_warm = 0;          // since the last take_stock
    std::size_t surplus = 0;              // that take_stock found
    std::size_t next_to_clean = 0;        // in `warm`, by take_stock
    std::array<std::byte*, 4> deep = {};  // slots that release_deep took; some may be in use
    std::size_t deep_count = 0;
    std::vector<std::unique_ptr<Slab>> slabs;  // by address
    std::size_t first_cold = 0;                // no slab before this one has cold slots
    Slab* newest = nullptr;                    // the only one that may have slots never used

    std::size_t warm_count() const { return warm.size() - oldest_warm; }
  };

  std::byte* acquire_cold(SizeClass& sizes);
  Slab& map_slab(SizeClass& sizes);
  void prepare(Slab& slab, std::size_t used) noexcept;
  void make_cold(SizeClass& sizes, std::size_t count) noexcept;
  void discard_depth(const SizeClass& sizes, std::byte* slot) noexcept;
  void discard_deep(SizeClass& sizes) noexcept;
  void forget_oldest(SizeClass& sizes) noexcept;
  void unmap_idle_slabs(SizeClass& sizes) noexcept;
  void unmap(Slab& slab) noexcept;
  void discard(std::byte* begin, std::byte* end) noexcept;

  static constexpr std::size_t class_count = 15;  // 2^14 to 2^28
  std::array<SizeClass, class_count> classes_;
  GuardKind first_choice_;
  std::size_t system_calls_ = 0;
  bool has_surplus_ = false;
  bool is_kept_ = false;
};

}  // namespace greenroom::detail
