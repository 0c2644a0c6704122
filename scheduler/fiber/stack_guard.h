// What faults when a stack overflows: the guards of a slab of stacks, and which addresses are
// guards. Not thread-safe, but for is_stack_guard.
//
// MADV_GUARD_INSTALL (Linux 6.13) needs no mapping of its own. It is given to up to 32 slots at a
// time, the next ones to be used (advise.h): 0.45 us each; one at a time it is 0.76 us. Where a
// slab refuses the advice (older kernels, mlock) mprotect takes over, two mappings a stack, until
// all but 8192 of vm.max_map_count are used; then stacks have no guards, after one warning on
// stderr. GREENROOM_STACK_GUARD=madvise|mprotect|none in the environment says where to begin. Under
// ASan it is mprotect: LeakSanitizer dies of reading advised guards.
#pragma once

#include <cstddef>
#include <cstdint>

namespace greenroom::detail {

enum class GuardKind : std::uint8_t { madvise, mprotect, none };

// As the environment says.
GuardKind choose_guard();

// Bytes of a slot, at its lower end, that are its guard: 1/64, from 4 to 64 KiB.
std::size_t guard_size(std::size_t slot_size) noexcept;

struct GuardRecord;

// The guards of one slab: a row of slots that get them in order. Once one goes without, so do the
// rest.
class GuardRow {
 public:
  static constexpr std::size_t most_at_once = 32;

  explicit GuardRow(GuardKind first_choice);
  ~GuardRow() { forget(); }
  GuardRow(const GuardRow&) = delete;
  GuardRow& operator=(const GuardRow&) = delete;

  void place(std::byte* first_slot, std::size_t slot_size, std::size_t slot_count);

  // The first `used` slots get guards if they are to have any, and perhaps some more do. Returns
  // how many system calls that took.
  std::size_t cover(std::size_t used) noexcept;

  // To be called before the slab is unmapped: from then on the addresses may be anybody's.
  void forget() noexcept;

  // Slots that have one.
  std::size_t guarded() const { return advised_ + protected_; }
  // Of the first `used` slots.
  std::size_t by_madvise(std::size_t used) const { return used < advised_ ? used : advised_; }
  std::size_t by_mprotect() const { return protected_; }

 private:
  std::size_t advise_next(std::size_t count) noexcept;
  bool protect(std::byte* slot, std::size_t& system_calls) const noexcept;

  GuardKind next_;  // of the next slot
  GuardRecord* record_;
  std::byte* begin_ = nullptr;
  std::size_t size_ = 0;   // of a slot
  std::size_t count_ = 0;  // slots
  std::size_t advised_ = 0;
  std::size_t protected_ = 0;
};

// Whether `address` lies in a guard of a live stack or of one in a pool, of any hub. Safe in a
// signal handler and on any thread.
bool is_stack_guard(const void* address) noexcept;

}  // namespace greenroom::detail
