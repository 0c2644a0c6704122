// What the compiler wrote down for exceptions about one function (.eh_frame): how its frames are
// built, and where its handlers are listed. DWARF 4, section 6.4, with what the Linux Standard Base
// says of .eh_frame_hdr.
//
// Thread-safe and async-signal-safe (_dl_find_object takes no lock), allocates nothing. Code that
// was made at run time is not found.
#pragma once

#include <cstdint>

#include "greenroom/scheduler/unwind/table_reader.h"

namespace greenroom::detail {

struct FrameDescription {
  std::uintptr_t start = 0;  // of the function
  std::uintptr_t size = 0;

  // The programs of frame instructions: what all functions of the object begin with, and its own.
  const std::uint8_t* initial = nullptr;
  const std::uint8_t* initial_end = nullptr;
  const std::uint8_t* program = nullptr;
  const std::uint8_t* program_end = nullptr;
  std::uint64_t code_alignment = 1;
  std::int64_t data_alignment = 1;
  std::uint8_t encoding = 0;  // of code addresses
  bool is_signal_frame = false;

  // The function that reads the language's data, and that; 0 if exceptions just pass through.
  std::uintptr_t personality = 0;
  std::uintptr_t language_data = 0;
  std::uint8_t data_encoding = TableReader::omitted;
  bool has_augmentation = false;
};

// That of the function `address` is in; false if there is none, or none we can follow.
bool find_frame_description(std::uintptr_t address, FrameDescription& to) noexcept;

}  // namespace greenroom::detail
