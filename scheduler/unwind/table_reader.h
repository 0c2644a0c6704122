// Reads the numbers and pointers of the tables that compilers write for exceptions: .eh_frame (the
// Linux Standard Base's) and the language's data (the Itanium C++ ABI's). Trusts what it reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace greenroom::detail {

// At any alignment.
template <class T>
T load_from(const std::uint8_t* address) {
  T value;
  std::memcpy(&value, address, sizeof value);
  return value;
}

class TableReader {
 public:
  static constexpr std::uint8_t omitted = 0xff;   // an encoding: there is no value
  static constexpr std::uint8_t indirect = 0x80;  // a bit of one

  explicit TableReader(const std::uint8_t* position) : position_(position) {}

  const std::uint8_t* position() const { return position_; }
  void skip(std::uint64_t bytes) { position_ += bytes; }

  template <class T>
  T take() {
    const T value = load_from<T>(position_);
    position_ += sizeof value;
    return value;
  }

  std::uint64_t take_unsigned() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = take<std::uint8_t>();
      if (shift < 64) value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  }

  std::int64_t take_signed() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const auto byte = take<std::uint8_t>();
      if (shift < 64) value |= std::uint64_t{byte & 0x7fu} << shift;
      shift += 7;
      if (byte >= 0x80) continue;
      if ((byte & 0x40) != 0 && shift < 64) value |= ~std::uint64_t{0} << shift;
      return static_cast<std::int64_t>(value);
    }
  }

  // A pointer. The low four bits of a DW_EH_PE encoding give the size, the next three what it is
  // added to, the highest that the pointer is stored there. Null stays null.
  std::uintptr_t take_encoded(std::uint8_t encoding) {
    const auto here = reinterpret_cast<std::uintptr_t>(position_);
    std::uintptr_t value = take_raw(encoding & 0x0f);
    if (value == 0) return 0;
    if ((encoding & 0x70) == 0x10) value += here;
    if ((encoding & indirect) != 0)
      std::memcpy(&value, reinterpret_cast<const void*>(value), sizeof value);
    return value;
  }

  // Bytes of a fixed-size encoding.
  static std::size_t size_of(std::uint8_t encoding) {
    switch (encoding & 0x07) {
      case 0x02:
        return 2;
      case 0x03:
        return 4;
      default:
        return 8;
    }
  }

 private:
  std::uintptr_t take_raw(std::uint8_t format) {
    switch (format) {
      case 0x01:
        return take_unsigned();
      case 0x02:
        return take<std::uint16_t>();
      case 0x03:
        return take<std::uint32_t>();
      case 0x09:
        return static_cast<std::uintptr_t>(take_signed());
      case 0x0a:
        return static_cast<std::uintptr_t>(take<std::int16_t>());
      case 0x0b:
        return static_cast<std::uintptr_t>(take<std::int32_t>());
      default:
        return take<std::uint64_t>();
    }
  }

  const std::uint8_t* position_;
};

}  // namespace greenroom::detail
