// x86-64 machine code, as far as it has to be known to follow it: how long each instruction is
// (Intel's manual, volume 2, appendix A), and where the few that matter lead. Thread-safe,
// allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace greenroom::detail {

struct Instruction {
  enum class Kind : std::uint8_t { unknown, other, call, jump, branch, end };
  Kind kind = Kind::unknown;
  std::size_t size = 0;
  const std::uint8_t* target = nullptr;  // of call, jump and branch; null if it is in a register
};

// The one at `code`; `unknown`, of size 0, if it is not one that compilers use.
Instruction decode_instruction(const std::uint8_t* code) noexcept;

}  // namespace greenroom::detail
