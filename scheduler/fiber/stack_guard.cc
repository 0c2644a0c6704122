#include "greenroom/scheduler/fiber/stack_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "greenroom/scheduler/system/advise.h"
#include "greenroom/scheduler/system/sanitizers.h"

namespace greenroom::detail {
namespace {

constexpr std::size_t page = 4096;
constexpr int guard_install = 102;  // MADV_GUARD_INSTALL, not in glibc 2.36

}  // namespace

// Guards known to is_stack_guard: a word for each slab, so that a signal handler reads a slab's
// whole description at once. Records are claimed by exchanging `no_slab`, given back by
// storing it, and never freed. This and what is atomic below are the process's, not a hub's: a
// fault in any thread asks for them, and mappings are counted by process.
struct GuardRecord {
  std::atomic<std::uint64_t> description = 0;
  GuardRecord* next = nullptr;
};

namespace {

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

}  // namespace

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

std::size_t guard_size(std::size_t slot_size) noexcept {
  return std::clamp(slot_size / 64, page, 16 * page);
}

GuardRow::GuardRow(GuardKind first_choice) : next_(first_choice), record_(&claim_record()) {}

void GuardRow::forget() noexcept {
  if (record_ == nullptr) return;
  record_->description.store(no_slab);
  record_ = nullptr;
  mprotect_guards.fetch_sub(protected_, std::memory_order_relaxed);
}

void GuardRow::place(std::byte* first_slot, std::size_t slot_size, std::size_t slot_count) {
  begin_ = first_slot;
  size_ = slot_size;
  count_ = slot_count;
}

std::size_t GuardRow::cover(std::size_t used) noexcept {
  if (used <= guarded() || next_ == GuardKind::none) return 0;
  std::size_t system_calls = 0;
  while (guarded() < used && next_ == GuardKind::madvise) {
    // As many as there were, so that a program of few stacks makes no page table for more.
    const std::size_t most = std::min(most_at_once, count_ - guarded());
    system_calls += advise_next(std::clamp<std::size_t>(guarded(), 1, most));
  }
  while (guarded() < used && next_ == GuardKind::mprotect) {
    if (protect(begin_ + guarded() * size_, system_calls)) {
      ++protected_;
    } else {
      next_ = GuardKind::none;
    }
  }
  // relaxed: the word says all there is to say.
  record_->description.store(describe(begin_, size_, guarded()), std::memory_order_relaxed);
  return system_calls;
}

// The advice for the next slots, at most `count`. If not even one takes it, mprotect is next.
std::size_t GuardRow::advise_next(std::size_t count) noexcept {
  std::byte* const first = begin_ + guarded() * size_;
  std::array<iovec, most_at_once> guards;
  for (std::size_t i = 0; i < count; ++i) guards[i] = {first + i * size_, guard_size(size_)};
  const std::size_t taken = count > 1 ? advise_ranges(guards.data(), count, guard_install) : 0;
  advised_ += taken;
  if (taken > 0) return 1;
  if (::madvise(first, guard_size(size_), guard_install) == 0) {
    ++advised_;
  } else {
    next_ = GuardKind::mprotect;
  }
  return count > 1 ? 2 : 1;
}

bool GuardRow::protect(std::byte* slot, std::size_t& system_calls) const noexcept {
  static const std::size_t limit = read_mprotect_limit();
  if (mprotect_guards.fetch_add(1, std::memory_order_relaxed) < limit) {
    ++system_calls;
    if (::mprotect(slot, guard_size(size_), PROT_NONE) == 0) return true;
  }
  mprotect_guards.fetch_sub(1, std::memory_order_relaxed);
  warn_once(
      "greenroom: too many mappings: further stacks have no guard page, and will not notice an "
      "overflow; raise vm.max_map_count, or use Linux 6.13 or later\n");
  return false;
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
