#include "greenroom/scheduler/stack.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define GREENROOM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GREENROOM_ASAN 1
#endif
#endif
#if GREENROOM_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace greenroom::detail {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t kept_pages = 2;  // of a stack whose deep pages are discarded
constexpr std::size_t cleaned_per_trim = 16;
constexpr std::size_t smallest_slab = std::size_t{4} << 20;
constexpr std::size_t largest_slab = std::size_t{256} << 20;
constexpr int guard_install = 102;  // MADV_GUARD_INSTALL, not in glibc 2.36

constexpr std::size_t guard_size(std::size_t size) {
  return std::clamp(size / 64, page, 16 * page);
}

constexpr std::size_t most_warm(std::size_t size) {
  return std::clamp<std::size_t>(largest_slab / size, 1, 4096);
}

constexpr std::size_t most_cold(std::size_t size) {
  return std::clamp<std::size_t>((std::size_t{64} << 30) / size, 1, 65536);
}

// What trim_unused leaves warm in any case.
constexpr std::size_t least_warm(std::size_t size) {
  return std::max<std::size_t>(smallest_slab / size, 1);
}

Stack to_stack(std::byte* slot, std::size_t size) {
  const auto number = reinterpret_cast<std::uintptr_t>(slot) >> std::countr_zero(size);
  const std::size_t colour = number % 16 * 64;
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

// Guards known to is_stack_guard: a word for each slab, so that a signal handler reads a slab's
// whole description at once. Records are claimed by exchanging `no_slab`, given back by
// storing it, and never freed. This and the two below are the process's, not a hub's: a fault in
// any thread asks for them, and mappings are counted by process.
struct GuardRecord {
  std::atomic<std::uint64_t> description = 0;
  GuardRecord* next = nullptr;
};
std::atomic<GuardRecord*> guard_records = nullptr;
std::atomic<std::size_t> mprotect_guards = 0;
std::atomic<bool> has_warned = false;

constexpr int size_shift = 23;     // below: how many slots, from the first one, have guards
constexpr int address_shift = 28;  // between: log2 of pages a slot; above: page number of the slab

std::uint64_t describe(const std::byte* begin, std::size_t size, std::size_t guarded) {
  return (reinterpret_cast<std::uintptr_t>(begin) / page << address_shift) |
         (static_cast<std::uint64_t>(std::countr_zero(size / page)) << size_shift) | guarded;
}

constexpr std::uint64_t no_slab = 0;
constexpr std::uint64_t no_guards_yet = std::uint64_t{1} << address_shift;

GuardRecord& claim_record() {
  // acquire pairs with the release of the push below.
  for (auto* r = guard_records.load(std::memory_order_acquire); r != nullptr; r = r->next) {
    std::uint64_t unused = no_slab;
    if (r->description.compare_exchange_strong(unused, no_guards_yet)) return *r;
  }
  auto* record = new GuardRecord{.description = no_guards_yet};
  record->next = guard_records.load();
  while (!guard_records.compare_exchange_weak(record->next, record, std::memory_order_release)) {
  }
  return *record;
}

// All but 8192 mappings of the process may be spent on guards: past vm.max_map_count, malloc,
// threads and dlopen fail too.
std::size_t read_mprotect_limit() {
  std::size_t mappings = 65530;
  std::ifstream("/proc/sys/vm/max_map_count") >> mappings;
  return mappings < 8192 ? 0 : (mappings - 8192) / 2;
}

void warn_once(std::string_view text) {
  if (has_warned.exchange(true)) return;
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

GuardKind choose_guard() {
  const char* set = std::getenv("GREENROOM_STACK_GUARD");
  const std::string_view kind = set != nullptr ? set : "";
  if (kind == "none") return GuardKind::none;
  if (kind == "mprotect") return GuardKind::mprotect;
  if (!kind.empty() && kind != "madvise") {
    warn_once("greenroom: GREENROOM_STACK_GUARD is none of madvise, mprotect, none: ignored\n");
  }
#if GREENROOM_ASAN
  return GuardKind::mprotect;
#else
  return GuardKind::madvise;
#endif
}

}  // namespace

struct StackPool::Slab {
  std::byte* begin = nullptr;
  std::size_t size = 0;               // of a slot
  std::size_t count = 0;              // slots
  std::size_t used = 0;               // slots from the first one that were acquired at least once
  std::vector<std::byte*> cold = {};  // of these
  GuardKind guard = GuardKind::none;  // of the next slot
  std::size_t by_madvise = 0;
  std::size_t by_mprotect = 0;
  GuardRecord* record = nullptr;

  bool is_idle() const { return cold.size() == used; }
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

Stack StackPool::acquire(std::size_t size) {
  if (size == 0) size = default_size;
  if (size > max_size) {
    throw std::invalid_argument("greenroom: a stack of " + std::to_string(size) +
                                " bytes: the largest is 256 MiB");
  }
  size = std::bit_ceil(std::max(size, min_size));
  SizeClass& sizes = classes_[static_cast<std::size_t>(std::countr_zero(size / min_size))];
  std::byte* slot = nullptr;
  if (!sizes.warm.empty()) {
    slot = sizes.warm.back();
    sizes.warm.pop_back();
    sizes.fewest_warm = std::min(sizes.fewest_warm, sizes.warm.size());
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
  sizes.warm.push_back(slot);  // within what acquire_cold reserved
  if (sizes.warm.size() > most_warm(size)) make_cold(sizes, (sizes.warm.size() + 1) / 2);
}

void StackPool::trim_unused() noexcept {
  for (SizeClass& sizes : classes_) {
    if (sizes.warm.empty()) continue;
    const std::size_t surplus =
        sizes.warm.size() - std::min(sizes.warm.size(), least_warm(sizes.size));
    make_cold(sizes, std::min(surplus, sizes.fewest_warm));
    const std::size_t cleaned = std::min(sizes.warm.size(), cleaned_per_trim);
    for (std::size_t i = 0; i < cleaned; ++i) {
      std::byte* slot = sizes.warm[sizes.next_to_clean++ % sizes.warm.size()];
      discard(slot + guard_size(sizes.size), slot + sizes.size - kept_pages * page);
    }
    sizes.fewest_warm = sizes.warm.size();
  }
}

StackPool::Statistics StackPool::statistics() const {
  Statistics all;
  all.system_calls = system_calls_;
  for (const SizeClass& sizes : classes_) {
    all.slabs += sizes.slabs.size();
    all.live += sizes.live;
    all.warm += sizes.warm.size();
    all.cold += sizes.cold;
    for (const auto& slab : sizes.slabs) {
      all.mapped_bytes += slab->count * slab->size;
      all.guarded_by_madvise += slab->by_madvise;
      all.guarded_by_mprotect += slab->by_mprotect;
      all.unguarded += slab->used - slab->by_madvise - slab->by_mprotect;
    }
  }
  return all;
}

// Cold before never used: those have their guard and their page table.
std::byte* StackPool::acquire_cold(SizeClass& sizes) {
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
  install_guard(slab, slot);
  ++slab.used;
  return slot;
}

StackPool::Slab& StackPool::map_slab(SizeClass& sizes) {
  std::size_t bytes = sizes.size;
  for (const auto& slab : sizes.slabs) bytes += slab->count * slab->size;
  bytes = std::bit_ceil(std::clamp(bytes, std::max(smallest_slab, sizes.size), largest_slab));
  auto slab = std::make_unique<Slab>();
  slab->cold.reserve(bytes / sizes.size);
  sizes.warm.reserve(most_warm(sizes.size) + 1);
  sizes.slabs.reserve(sizes.slabs.size() + 1);
  slab->record = &claim_record();
  void* begin = MAP_FAILED;
  for (;; bytes /= 2) {
    ++system_calls_;
    begin = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (begin != MAP_FAILED) break;
    if (bytes == sizes.size) {
      const int error = errno;
      slab->record->description.store(no_slab);
      throw OutOfStacks(sizes.size, error);
    }
  }
  ++system_calls_;
  ::madvise(begin, bytes, MADV_NOHUGEPAGE);  // refused by kernels without huge pages: as well
  slab->begin = static_cast<std::byte*>(begin);
  slab->size = sizes.size;
  slab->count = bytes / sizes.size;
  slab->guard = first_choice_;
  sizes.newest = slab.get();
  const auto place = std::find_if(sizes.slabs.begin(), sizes.slabs.end(),
                                  [&](const auto& other) { return slab->begin < other->begin; });
  return **sizes.slabs.insert(place, std::move(slab));
}

// Slots of a slab get their guards in order, and once one goes without, so do the rest.
void StackPool::install_guard(Slab& slab, std::byte* slot) {
  const std::size_t size = guard_size(slab.size);
  if (slab.guard == GuardKind::madvise) {
    ++system_calls_;
    if (::madvise(slot, size, guard_install) == 0) {
      ++slab.by_madvise;
    } else {
      slab.guard = GuardKind::mprotect;
    }
  }
  if (slab.guard == GuardKind::mprotect) {
    if (protect(slot, size)) {
      ++slab.by_mprotect;
    } else {
      slab.guard = GuardKind::none;
    }
  }
  if (slab.guard == GuardKind::none) return;
  // relaxed: the word says all there is to say.
  slab.record->description.store(
      describe(slab.begin, slab.size, slab.by_madvise + slab.by_mprotect),
      std::memory_order_relaxed);
}

bool StackPool::protect(std::byte* slot, std::size_t size) {
  static const std::size_t limit = read_mprotect_limit();
  if (mprotect_guards.fetch_add(1, std::memory_order_relaxed) < limit) {
    ++system_calls_;
    if (::mprotect(slot, size, PROT_NONE) == 0) return true;
  }
  mprotect_guards.fetch_sub(1, std::memory_order_relaxed);
  warn_once(
      "greenroom: too many mappings: further stacks have no guard page, and will not notice an "
      "overflow; raise vm.max_map_count, or use Linux 6.13 or later\n");
  return false;
}

// The `count` least recently used warm stacks. By address, so that neighbours, whose guards survive
// it, are discarded together.
void StackPool::make_cold(SizeClass& sizes, std::size_t count) noexcept {
  if (count == 0) return;
  const auto first = sizes.warm.begin();
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
  sizes.warm.erase(first, last);
  sizes.cold += count;
  sizes.first_cold = 0;
  if (sizes.cold > most_cold(sizes.size)) unmap_idle_slabs(sizes);
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
  // First: from now on the address may be anybody's.
  slab.record->description.store(no_slab);
  unpoison(slab.begin, slab.count * slab.size);
  ++system_calls_;
  ::munmap(slab.begin, slab.count * slab.size);
  mprotect_guards.fetch_sub(slab.by_mprotect, std::memory_order_relaxed);
}

void StackPool::discard(std::byte* begin, std::byte* end) noexcept {
  ++system_calls_;
  ::madvise(begin, static_cast<std::size_t>(end - begin),
            MADV_DONTNEED);  // mlocked: not given back
}

bool is_stack_guard(const void* address) noexcept {
  // acquire pairs with the push in claim_record.
  for (auto* r = guard_records.load(std::memory_order_acquire); r != nullptr; r = r->next) {
    const std::uint64_t description = r->description.load(std::memory_order_relaxed);
    const std::uintptr_t begin = description >> address_shift << 12;
    const std::size_t size = page << (description >> size_shift) % 32;
    const std::size_t guarded = description % (std::uint64_t{1} << size_shift);
    const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(address) - begin;
    if (offset < guarded * size && offset % size < guard_size(size)) return true;
  }
  return false;
}

}  // namespace greenroom::detail
