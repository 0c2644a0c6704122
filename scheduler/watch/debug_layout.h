// Where things lie in memory, for tools/greenroom-gdb.py: so it needs no debug information.
// Constant data; nothing in the program reads it.
#pragma once

#include <cstddef>

namespace greenroom::detail {

// One name: an offset in bytes, an enumerator, or an address. The last one has no name.
struct DebugEntry {
  const char* name = nullptr;
  std::size_t value = 0;
  const void* address = nullptr;
};

}  // namespace greenroom::detail
