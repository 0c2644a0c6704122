#include "greenroom/scheduler/unwind/frame_description.h"

#include <dlfcn.h>

#include <cstddef>
#include <cstring>

namespace greenroom::detail {
namespace {

constexpr std::uint64_t register_return = 16;  // DWARF's number

// Both kinds of record begin with a length, 32 or 64 bits. Returns the end of the record.
const std::uint8_t* take_record_end(TableReader& reader) {
  std::uint64_t length = reader.take<std::uint32_t>();
  if (length == 0xffffffff) length = reader.take<std::uint64_t>();
  return reader.position() + length;
}

bool read_common(const std::uint8_t* record, FrameDescription& to) {
  TableReader reader(record);
  to.initial_end = take_record_end(reader);
  reader.skip(4);  // the id, 0
  const auto version = reader.take<std::uint8_t>();
  const char* augmentation = reinterpret_cast<const char*>(reader.position());
  reader.skip(std::strlen(augmentation) + 1);
  to.code_alignment = reader.take_unsigned();
  to.data_alignment = reader.take_signed();
  const std::uint64_t return_register =
      version == 1 ? reader.take<std::uint8_t>() : reader.take_unsigned();
  if (return_register != register_return) return false;
  to.initial = reader.position();
  if (*augmentation == 0) return true;
  if (*augmentation != 'z') return false;

  to.has_augmentation = true;
  const std::uint64_t size = reader.take_unsigned();
  to.initial = reader.position() + size;
  for (const char* letter = augmentation + 1; *letter != 0; ++letter) {
    switch (*letter) {
      case 'R':
        to.encoding = reader.take<std::uint8_t>();
        break;
      case 'L':
        to.data_encoding = reader.take<std::uint8_t>();
        break;
      case 'P':
        to.personality = reader.take_encoded(reader.take<std::uint8_t>());
        break;
      case 'S':
        to.is_signal_frame = true;
        break;
      default:
        return true;  // the rest is of no use to us, and its size is known
    }
  }
  return true;
}

bool read_description(const std::uint8_t* record, FrameDescription& to) {
  TableReader reader(record);
  to.program_end = take_record_end(reader);
  const std::uint8_t* here = reader.position();
  const auto distance = reader.take<std::uint32_t>();
  if (!read_common(here - distance, to)) return false;
  to.start = reader.take_encoded(to.encoding);
  to.size = reader.take_encoded(to.encoding & 0x0f);
  to.program = reader.position();
  if (to.has_augmentation) {
    const std::uint64_t size = reader.take_unsigned();
    to.program = reader.position() + size;
    if (to.data_encoding != TableReader::omitted)
      to.language_data = reader.take_encoded(to.data_encoding);
  }
  return true;
}

}  // namespace

// By the binary search table that the linker writes.
bool find_frame_description(std::uintptr_t address, FrameDescription& to) noexcept {
  dl_find_object object;
  if (_dl_find_object(reinterpret_cast<void*>(address), &object) != 0) return false;
  if (object.dlfo_eh_frame == nullptr) return false;
  const auto* header = static_cast<const std::uint8_t*>(object.dlfo_eh_frame);
  TableReader reader(header + 1);  // after the version
  const auto frame_encoding = reader.take<std::uint8_t>();
  const auto count_encoding = reader.take<std::uint8_t>();
  const auto table_encoding = reader.take<std::uint8_t>();
  constexpr std::uint8_t from_header_32_bits = 0x3b;
  if (table_encoding != from_header_32_bits || count_encoding == TableReader::omitted) return false;
  reader.take_encoded(frame_encoding);
  std::uint64_t count = reader.take_encoded(count_encoding);

  struct Entry {
    std::int32_t start;
    std::int32_t description;
  };
  const std::uint8_t* table = reader.position();
  const auto entry_at = [table](std::uint64_t index) {
    return TableReader(table + index * sizeof(Entry)).take<Entry>();
  };
  const std::int64_t wanted =
      static_cast<std::int64_t>(address - reinterpret_cast<std::uintptr_t>(header));
  std::uint64_t first =
      0;  // the last entry that starts at or below `wanted` is in [first, first + count)
  while (count > 1) {
    const std::uint64_t half = count / 2;
    if (entry_at(first + half).start <= wanted) first += half;
    count -= half;
  }
  if (count == 0 || entry_at(first).start > wanted) return false;
  if (!read_description(header + entry_at(first).description, to)) return false;
  return address - to.start < to.size;
}

}  // namespace greenroom::detail
