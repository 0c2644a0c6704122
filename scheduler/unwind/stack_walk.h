// One step of a stack walk, from a frame to its caller, by what compilers write down for exceptions
// (unwind_rule.h). So it is right in code without frame pointers as well: libstdc++, libc, a user's
// own files. Rules are kept by address in a lock-free table: a warm step takes a few nanoseconds.
//
// Thread-safe, async-signal-safe, allocates nothing, throws nothing.
//
// Rejected: a frame-pointer walk (from a throw in libstdc++ it skips or loses the user's frames,
// and
//   it silently leaves out functions compiled without frame pointers, which is what a user's
//   compiler does by default); _Unwind_Backtrace (some ten times slower, and it cannot start from
//   the saved context of a suspended fiber); libunwind (one more dependency for the same work).
#pragma once

#include <cstdint>
#include <limits>

namespace greenroom::detail {

// The registers a walk needs. `pc` is a return address: what is looked up is the instruction
// before it. For an interrupted instruction it is that instruction's address + 1.
struct UnwindContext {
  std::uintptr_t pc = 0;
  std::uintptr_t sp = 0;
  std::uintptr_t fp = 0;
};

// The addresses a walk may read: [low, high). Of a copy of that stack, if it has one: so far behind
// its place.
struct StackBounds {
  std::uintptr_t low = 0;
  std::uintptr_t high = std::numeric_limits<std::uintptr_t>::max();
  std::uintptr_t displacement = 0;

  bool is_known() const { return high != std::numeric_limits<std::uintptr_t>::max(); }
};

// Turns `context` into its caller's; false at the outermost frame, and where the walk would leave
// the bounds. Code nothing is known of ends the walk too, unless the bounds are known: then its
// frame pointer is tried.
bool unwind_step(UnwindContext& context, const StackBounds& bounds) noexcept;

// Drops the rules that are kept: what they are about may have been unloaded.
void forget_unwind_rules() noexcept;

}  // namespace greenroom::detail
