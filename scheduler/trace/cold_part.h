// Where a function enters its cold part: the code that a compiler expects to run hardly ever, a
// throw above all, is not beside the rest of it.
#pragma once

#include <cstdint>

namespace greenroom::detail {

// The address of a jump, in the code of the same module, to the last place within [first, last]
// that one leads to; 0 if there is none. Reads all code of the module.
std::uintptr_t find_jump_into(std::uintptr_t first, std::uintptr_t last) noexcept;

}  // namespace greenroom::detail
