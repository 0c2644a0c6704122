// What the compiler wrote about one code address, for exceptions and debuggers (.eh_frame): where
// the caller's stack pointer, frame pointer and return address are.
//
// Thread-safe and async-signal-safe (_dl_find_object takes no lock), allocates nothing. About 200
// ns a call: stack_walk keeps the answers. Only the three registers above are followed; compiled
// code needs no other one to find its caller, and anything stranger is `unknown`.
#pragma once

#include <cstdint>

namespace greenroom::detail {

// CFA, DWARF's "canonical frame address", is the caller's stack pointer after the return; the
// return address is always in the word below it.
struct UnwindRule {
  enum class Cfa : std::uint8_t {
    unknown,         // the outermost frame, or one nothing is known of
    sp_plus_offset,  // the usual one without a frame pointer
    fp_plus_offset,  // the usual one with a frame pointer
    in_slot,         // the word at fp + offset: a function that realigned its stack
  };
  enum class Fp : std::uint8_t { unchanged, at_cfa_plus_offset, at_fp_plus_offset };

  Cfa cfa = Cfa::unknown;
  Fp fp = Fp::unchanged;
  std::int64_t cfa_offset = 0;
  std::int64_t fp_offset = 0;
};

// The rule that holds while the instruction at `address` runs.
UnwindRule find_unwind_rule(std::uintptr_t address) noexcept;

}  // namespace greenroom::detail
