#include "greenroom/scheduler/fiber/stack.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

#include "greenroom/scheduler/system/advise.h"
#include "greenroom/scheduler/system/sanitizers.h"

#if GREENROOM_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace greenroom::detail {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t kept_pages = 2;  // of a stack whose deep pages are discarded
constexpr std::size_t cleaned_per_stocktaking = 16;
// Stacks made cold in a step, 0.4 us each.
constexpr std::size_t step_of_busy_hub = 16;
constexpr std::size_t step_before_sleep = 128;
constexpr std::size_t largest_in_steps = std::size_t{1} << 20;
constexpr std::size_t smallest_slab = std::size_t{4} << 20;
constexpr std::size_t largest_slab = std::size_t{256} << 20;

// What a hub that sleeps keeps warm at most.
constexpr std::size_t most_warm(std::size_t size) {
  return std::clamp<std::size_t>(largest_slab / size, 1, 4096);
}

constexpr std::size_t most_cold(std::size_t size) {
  return std::clamp<std::size_t>((std::size_t{64} << 30) / size, 1, 65536);
}

// What stays warm even if nobody needs it.
constexpr std::size_t least_warm(std::size_t size) {
  return std::max<std::size_t>(smallest_slab / size, 1);
}

constexpr std::size_t colours = 16;
constexpr std::size_t colour_step = 64;

Stack to_stack(std::byte* slot, std::size_t size) {
  const auto number = reinterpret_cast<std::uintptr_t>(slot) >> std::countr_zero(size);
  const std::size_t colour = number % colours * colour_step;
  const std::size_t guard = guard_size(size);
  return {.base = slot + guard, .size = size - guard - colour};
}

// A stack that was left in mid-frame has poisoned shadow memory, which its next user, or the next
// mapping at this address, must not inherit.
void unpoison([[maybe_unused]] std::byte* begin, [[maybe_unused]] std::size_t size) {
#if GREENROOM_ASAN
  __asan_unpoison_memory_region(begin, size);
#endif
}

class OutOfStacks : public std::bad_alloc {
 public:
  OutOfStacks(std::size_t size, int error) {
    std::snprintf(what_.data(), what_.size(),
                  "greenroom: no address space for a stack of %zu bytes (%s): raise "
                  "vm.max_map_count or `ulimit -v`, or use smaller or fewer stacks",
                  size, std::strerror(error));
  }
  const char* what() const noexcept override { return what_.data(); }

 private:
  std::array<char, 256> what_;
};

}  // namespace

void check_stack_size(const char* option, std::size_t bytes) {
  if (bytes <= StackPool::max_size) return;
  throw std::invalid_argument("greenroom: " + std::string(option) + ": " + std::to_string(bytes) +
                              " bytes; the largest stack has 256 MiB");
}

struct StackPool::Slab {
  explicit Slab(GuardKind guard) : guards(guard) {}
  bool is_idle() const { return cold.size() == used; }

  std::byte* begin = nullptr;
  std::size_t size = 0;               // of a slot
  std::size_t count = 0;              // slots
  std::size_t used = 0;               // slots from the first one that were acquired at least once
  std::vector<std::byte*> cold = {};  // of these
  GuardRow guards;
};

StackPool::StackPool() : first_choice_(choose_guard()) {
  for (std::size_t i = 0; i < class_count; ++i) classes_[i].size = min_size << i;
}

StackPool::~StackPool() {
  if (is_kept_) return;
  for (SizeClass& sizes : classes_) {
    for (auto& slab : sizes.slabs) unmap(*slab);
  }
}

std::size_t StackPool::size_with_room(std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  const bool has_room = bytes + guard_size(size) + (colours - 1) * colour_step <= size;
  return std::min(has_room ? size : 2 * size, max_size);
}

Stack StackPool::acquire(std::size_t size) {
  check_stack_size("a stack", size);
  size = rounded(size);
  SizeClass& sizes = classes_[static_cast<std::size_t>(std::countr_zero(size / min_size))];
  std::byte* slot = nullptr;
  if (sizes.warm_count() > 0) {
    slot = sizes.warm.back();
    sizes.warm.pop_back();
    sizes.fewest_warm = std::min(sizes.fewest_warm, sizes.warm_count());
  } else {
    slot = acquire_cold(sizes);
    sizes.fewest_warm = 0;
  }
  ++sizes.live;
  const Stack stack = to_stack(slot, size);
  unpoison(stack.base, stack.size);
  return stack;
}

void StackPool::release(Stack stack) noexcept {
  const std::size_t size = std::bit_ceil(stack.size);  // guard and colour take less than half
  SizeClass& sizes = classes_[static_cast<std::size_t>(std::countr_zero(size / min_size))];
  std::byte* slot = stack.base - guard_size(size);
  assert(sizes.live > 0 && to_stack(slot, size).size == stack.size);
  --sizes.live;
  if (sizes.warm.size() == sizes.warm.capacity()) forget_oldest(sizes);
  sizes.warm.push_back(slot);  // within what acquire_cold reserved
  if (sizes.warm_count() > most_warm(size)) has_surplus_ = true;
}

void StackPool::release_deep(Stack stack) noexcept {
  const std::size_t size = std::bit_ceil(stack.size);
  SizeClass& sizes = classes_[static_cast<std::size_t>(std::countr_zero(size / min_size))];
  std::byte* slot = stack.base - guard_size(size);
  const auto end = sizes.deep.begin() + static_cast<std::ptrdiff_t>(sizes.deep_count);
  if (std::find(sizes.deep.begin(), end, slot) == end) {
    if (sizes.deep_count < sizes.deep.size()) {
      sizes.deep[sizes.deep_count++] = slot;
    } else {
      discard_depth(sizes, slot);
    }
  }
  has_surplus_ = true;
  release(stack);
}

void StackPool::discard_depth(const SizeClass& sizes, std::byte* slot) noexcept {
  discard(slot + guard_size(sizes.size), slot + sizes.size - kept_pages * page);
}

void StackPool::discard_deep(SizeClass& sizes) noexcept {
  const auto warm = sizes.warm.begin() + static_cast<std::ptrdiff_t>(sizes.oldest_warm);
  for (std::size_t i = 0; i < sizes.deep_count; ++i) {
    if (std::find(warm, sizes.warm.end(), sizes.deep[i]) != sizes.warm.end())
      discard_depth(sizes, sizes.deep[i]);
  }
  sizes.deep_count = 0;
}

void StackPool::take_stock() noexcept {
  for (SizeClass& sizes : classes_) {
    const std::size_t warm = sizes.warm_count();
    if (warm == 0) continue;
    const std::size_t dispensable = warm - std::min(warm, least_warm(sizes.size));
    sizes.surplus = std::min(dispensable, sizes.fewest_warm);
    if (sizes.surplus > 0) has_surplus_ = true;
    sizes.fewest_warm = warm;
    const std::size_t cleaned = std::min(warm, cleaned_per_stocktaking);
    for (std::size_t i = 0; i < cleaned; ++i) {
      discard_depth(sizes, sizes.warm[sizes.oldest_warm + sizes.next_to_clean++ % warm]);
    }
  }
}

bool StackPool::give_back(HubState hub) noexcept {
  const bool is_busy = hub == HubState::busy;
  has_surplus_ = false;
  bool is_more = false;
  for (SizeClass& sizes : classes_) {
    const std::size_t warm = sizes.warm_count();
    const std::size_t limit = most_warm(sizes.size);
    // Of what take_stock found, some may have been needed since.
    sizes.surplus = std::min(sizes.surplus, sizes.fewest_warm);
    std::size_t surplus = sizes.surplus;
    if (!is_busy && warm > limit) surplus = std::max(surplus, warm - limit);
    const std::size_t most = is_busy ? step_of_busy_hub : step_before_sleep;
    // Of large ones much may have been touched: one at a time.
    const std::size_t step = std::min(surplus, sizes.size <= largest_in_steps ? most : 1);
    make_cold(sizes, step);
    sizes.surplus -= std::min(sizes.surplus, step);
    sizes.fewest_warm = std::min(sizes.fewest_warm, warm - step);
    is_more = is_more || surplus > step;
    if (sizes.deep_count > 0) {
      if (is_busy) has_surplus_ = true;
      if (!is_busy) discard_deep(sizes);
    }
    if (surplus > step || warm - step > limit) has_surplus_ = true;
  }
  return is_more;
}

StackPool::Statistics StackPool::statistics() const {
  Statistics all;
  all.system_calls = system_calls_;
  for (const SizeClass& sizes : classes_) {
    all.slabs += sizes.slabs.size();
    all.live += sizes.live;
    all.warm += sizes.warm_count();
    all.cold += sizes.cold;
    for (const auto& slab : sizes.slabs) {
      all.mapped_bytes += slab->count * slab->size;
      const std::size_t advised = slab->guards.by_madvise(slab->used);
      const std::size_t is_protected = slab->guards.by_mprotect();
      all.guarded_by_madvise += advised;
      all.guarded_by_mprotect += is_protected;
      all.unguarded += slab->used - advised - is_protected;
    }
  }
  return all;
}

// Cold before never used: those have their guard and their page table.
std::byte* StackPool::acquire_cold(SizeClass& sizes) {
  forget_oldest(sizes);  // all of them: none is warm
  if (sizes.warm.capacity() <= sizes.live)
    sizes.warm.reserve(std::max<std::size_t>(2 * sizes.live, least_warm(sizes.size)));
  if (sizes.cold > 0) {
    while (sizes.slabs[sizes.first_cold]->cold.empty()) ++sizes.first_cold;
    auto& cold = sizes.slabs[sizes.first_cold]->cold;
    std::byte* slot = cold.back();
    cold.pop_back();
    --sizes.cold;
    return slot;
  }
  const bool has_unused = sizes.newest != nullptr && sizes.newest->used < sizes.newest->count;
  Slab& slab = has_unused ? *sizes.newest : map_slab(sizes);
  std::byte* slot = slab.begin + slab.used * slab.size;
  prepare(slab, ++slab.used);
  return slot;
}

// Guards come several at a time to a slab that grows; then the first page of each such stack comes
// with them. Alone, each page would be a fault amid other work, at 1.5 times the price.
void StackPool::prepare(Slab& slab, std::size_t used) noexcept {
  const std::size_t before = slab.guards.guarded();
  system_calls_ += slab.guards.cover(used);
  const std::size_t count = slab.guards.guarded() - before;
  if (count < 2) return;
  std::array<iovec, GuardRow::most_at_once> tops;
  for (std::size_t i = 0; i < count; ++i)
    tops[i] = {slab.begin + (before + i + 1) * slab.size - page, page};
  ++system_calls_;
  advise_ranges(tops.data(), count, MADV_POPULATE_WRITE);
}

StackPool::Slab& StackPool::map_slab(SizeClass& sizes) {
  std::size_t bytes = sizes.size;
  for (const auto& slab : sizes.slabs) bytes += slab->count * slab->size;
  bytes = std::bit_ceil(std::clamp(bytes, std::max(smallest_slab, sizes.size), largest_slab));
  auto slab = std::make_unique<Slab>(first_choice_);
  slab->cold.reserve(bytes / sizes.size);
  sizes.slabs.reserve(sizes.slabs.size() + 1);
  void* begin = MAP_FAILED;
  for (;; bytes /= 2) {
    ++system_calls_;
    begin = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (begin != MAP_FAILED) break;
    if (bytes == sizes.size) throw OutOfStacks(sizes.size, errno);
  }
  ++system_calls_;
  ::madvise(begin, bytes, MADV_NOHUGEPAGE);  // refused by kernels without huge pages: as well
  slab->begin = static_cast<std::byte*>(begin);
  slab->size = sizes.size;
  slab->count = bytes / sizes.size;
  slab->guards.place(slab->begin, slab->size, slab->count);
  sizes.newest = slab.get();
  const auto place = std::find_if(sizes.slabs.begin(), sizes.slabs.end(),
                                  [&](const auto& other) { return slab->begin < other->begin; });
  return **sizes.slabs.insert(place, std::move(slab));
}

// The `count` least recently used warm stacks. By address, so that neighbours, whose guards survive
// it, are discarded together.
void StackPool::make_cold(SizeClass& sizes, std::size_t count) noexcept {
  if (count == 0) return;
  const auto first = sizes.warm.begin() + static_cast<std::ptrdiff_t>(sizes.oldest_warm);
  const auto last = first + static_cast<std::ptrdiff_t>(count);
  std::sort(first, last);
  auto slab = sizes.slabs.begin();
  std::byte* run_begin = *first;
  std::byte* run_end = *first;
  for (auto slot = first; slot != last; ++slot) {
    if (*slot != run_end) {
      discard(run_begin, run_end);
      run_begin = *slot;
    }
    run_end = *slot + sizes.size;
    while (*slot >= (*slab)->begin + (*slab)->count * sizes.size) ++slab;
    (*slab)->cold.push_back(*slot);
  }
  discard(run_begin, run_end);
  sizes.oldest_warm += count;
  if (sizes.oldest_warm > sizes.warm.size() / 2) forget_oldest(sizes);
  sizes.cold += count;
  sizes.first_cold = 0;
  if (sizes.cold > most_cold(sizes.size)) unmap_idle_slabs(sizes);
}

void StackPool::forget_oldest(SizeClass& sizes) noexcept {
  const auto first = sizes.warm.begin();
  sizes.warm.erase(first, first + static_cast<std::ptrdiff_t>(sizes.oldest_warm));
  sizes.oldest_warm = 0;
}

void StackPool::unmap_idle_slabs(SizeClass& sizes) noexcept {
  std::erase_if(sizes.slabs, [&](const auto& slab) {
    if (!slab->is_idle() || sizes.cold <= most_cold(sizes.size)) return false;
    sizes.cold -= slab->cold.size();
    if (slab.get() == sizes.newest) sizes.newest = nullptr;
    unmap(*slab);
    return true;
  });
}

void StackPool::unmap(Slab& slab) noexcept {
  slab.guards.forget();
  unpoison(slab.begin, slab.count * slab.size);
  ++system_calls_;
  ::munmap(slab.begin, slab.count * slab.size);
}

void StackPool::discard(std::byte* begin, std::byte* end) noexcept {
  ++system_calls_;
  ::madvise(begin, static_cast<std::size_t>(end - begin),
            MADV_DONTNEED);  // mlocked: not given back
}

}  // namespace greenroom::detail
