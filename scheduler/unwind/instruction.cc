#include "greenroom/scheduler/unwind/instruction.h"

#include "greenroom/scheduler/unwind/table_reader.h"

namespace greenroom::detail {

namespace {

enum class Operand : std::uint8_t {
  none,
  byte,
  word,
  full,
  modrm,
  modrm_byte,
  modrm_full,
  unknown
};

Operand operand_of_two_byte(std::uint8_t code) {
  if (code >= 0x80 && code <= 0x8f) return Operand::full;
  if (code >= 0xc8 && code <= 0xcf) return Operand::none;
  switch (code) {
    case 0x05:
    case 0x0b:
    case 0x31:
    case 0x77:
    case 0xa0:
    case 0xa1:
    case 0xa2:
    case 0xa8:
    case 0xa9:
      return Operand::none;
    case 0x70:
    case 0x71:
    case 0x72:
    case 0x73:
    case 0xa4:
    case 0xac:
    case 0xba:
    case 0xc2:
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return Operand::modrm_byte;
    case 0x04:
    case 0x06:
    case 0x07:
    case 0x08:
    case 0x09:
    case 0x0a:
    case 0x0c:
    case 0x0e:
    case 0x0f:
      return Operand::unknown;
    default:
      return Operand::modrm;
  }
}

Operand operand_of_one_byte(std::uint8_t code) {
  if (code < 0x40) {
    switch (code & 7) {
      case 4:
        return Operand::byte;
      case 5:
        return Operand::full;
      case 6:
      case 7:
        return Operand::unknown;
      default:
        return Operand::modrm;
    }
  }
  if (code >= 0x50 && code <= 0x5f) return Operand::none;
  if (code >= 0x70 && code <= 0x7f) return Operand::byte;
  if (code >= 0x84 && code <= 0x8f) return Operand::modrm;
  if (code >= 0x90 && code <= 0x9f) return code == 0x9a ? Operand::unknown : Operand::none;
  if (code >= 0xa4 && code <= 0xa7) return Operand::none;
  if (code >= 0xaa && code <= 0xaf) return Operand::none;
  if (code >= 0xb0 && code <= 0xb7) return Operand::byte;
  if (code >= 0xb8 && code <= 0xbf) return Operand::full;
  if (code >= 0xd0 && code <= 0xd3) return Operand::modrm;
  if (code >= 0xd8 && code <= 0xdf) return Operand::modrm;
  switch (code) {
    case 0x63:
    case 0xfe:
    case 0xff:
      return Operand::modrm;
    case 0x69:
    case 0x81:
    case 0xc7:
      return Operand::modrm_full;
    case 0x6b:
    case 0x80:
    case 0x83:
    case 0xc0:
    case 0xc1:
    case 0xc6:
      return Operand::modrm_byte;
    case 0x6a:
    case 0xa8:
    case 0xeb:
      return Operand::byte;
    case 0x68:
    case 0xa9:
    case 0xe8:
    case 0xe9:
      return Operand::full;
    case 0xc2:
      return Operand::word;
    case 0xc3:
    case 0xc9:
    case 0xcc:
    case 0xf4:
      return Operand::none;
    default:
      return Operand::unknown;
  }
}

// Of a ModRM byte with what follows it.
std::size_t size_of_address(const std::uint8_t* modrm) {
  const std::uint8_t mode = *modrm >> 6;
  const std::uint8_t base = *modrm & 7;
  if (mode == 3) return 1;
  std::size_t size = 1;
  bool has_wide_displacement = mode == 2 || (mode == 0 && base == 5);
  if (base == 4) {
    ++size;
    has_wide_displacement |= mode == 0 && (modrm[1] & 7) == 5;
  }
  return size + (has_wide_displacement ? 4 : mode == 1 ? 1 : 0);
}

class Decoder {
 public:
  explicit Decoder(const std::uint8_t* at) : begin_(at), at_(at) {}

  Instruction decode() {
    take_prefixes();
    if (*at_ == 0xc4 || *at_ == 0xc5 || *at_ == 0x62) return decode_vector();
    code_ = *at_++;
    if (code_ == 0x0f) return decode_two_byte();
    Operand operand = operand_of_one_byte(code_);
    // test with an immediate is in a group with what has none.
    if (code_ == 0xf6) operand = (*at_ & 0x38) <= 0x08 ? Operand::modrm_byte : Operand::modrm;
    if (code_ == 0xf7) operand = (*at_ & 0x38) <= 0x08 ? Operand::modrm_full : Operand::modrm;
    const std::uint8_t* operand_at = at_;
    if (!skip(operand)) return {};
    return classify(operand_at);
  }

 private:
  void take_prefixes() {
    for (;; ++at_) {
      if (*at_ == 0x66) {
        has_size_prefix_ = true;
      } else if (*at_ != 0xf2 && *at_ != 0xf3 && *at_ != 0xf0 && *at_ != 0x2e && *at_ != 0x3e &&
                 *at_ != 0x64 && *at_ != 0x65) {
        break;
      }
    }
    if ((*at_ & 0xf0) == 0x40) is_wide_ = (*at_++ & 8) != 0;
  }

  Instruction decode_two_byte() {
    code_ = *at_++;
    Operand operand = Operand::unknown;
    if (code_ == 0x38 || code_ == 0x3a) {
      operand = code_ == 0x38 ? Operand::modrm : Operand::modrm_byte;
      ++at_;
    } else {
      operand = operand_of_two_byte(code_);
    }
    if (!skip(operand)) return {};
    if (code_ == 0x0b) return made(Instruction::Kind::end);
    if (code_ >= 0x80 && code_ <= 0x8f) return made(Instruction::Kind::branch, relative32());
    return made(Instruction::Kind::other);
  }

  // VEX and EVEX: the map of opcodes is in the prefix.
  Instruction decode_vector() {
    std::uint8_t map = 1;
    if (*at_ == 0xc5) {
      at_ += 2;
    } else {
      map = at_[1] & 7;
      at_ += *at_ == 0xc4 ? 3 : 4;
    }
    code_ = *at_++;
    Operand operand = Operand::modrm;
    if (map == 1) operand = operand_of_two_byte(code_);
    if (map == 3) operand = Operand::modrm_byte;
    return skip(operand) ? made(Instruction::Kind::other) : Instruction{};
  }

  bool skip(Operand operand) {
    const std::size_t full = has_size_prefix_ ? 2 : 4;
    switch (operand) {
      case Operand::none:
        return true;
      case Operand::byte:
        at_ += 1;
        return true;
      case Operand::word:
        at_ += 2;
        return true;
      case Operand::full:
        // mov of a 64-bit constant
        at_ += is_wide_ && code_ >= 0xb8 && code_ <= 0xbf ? 8 : full;
        return true;
      case Operand::modrm:
        at_ += size_of_address(at_);
        return true;
      case Operand::modrm_byte:
        at_ += size_of_address(at_) + 1;
        return true;
      case Operand::modrm_full:
        at_ += size_of_address(at_) + full;
        return true;
      case Operand::unknown:
        return false;
    }
    return false;
  }

  Instruction classify(const std::uint8_t* operand) {
    using Kind = Instruction::Kind;
    if (code_ == 0xe8) return made(Kind::call, relative32());
    if (code_ == 0xe9) return made(Kind::jump, relative32());
    if (code_ == 0xeb) return made(Kind::jump, at_ + static_cast<std::int8_t>(at_[-1]));
    if (code_ >= 0x70 && code_ <= 0x7f)
      return made(Kind::branch, at_ + static_cast<std::int8_t>(at_[-1]));
    if (code_ == 0xc2 || code_ == 0xc3 || code_ == 0xcc || code_ == 0xf4) return made(Kind::end);
    if (code_ != 0xff) return made(Kind::other);
    const std::uint8_t group = (*operand >> 3) & 7;
    constexpr std::uint8_t call_register = 2;
    constexpr std::uint8_t jump_register = 4;
    if (group == jump_register) return made(Kind::jump);
    if (group != call_register) return made(Kind::other);
    // call *slot(%rip), from code compiled without a procedure linkage table
    constexpr std::uint8_t from_here = 0x15;
    if (*operand != from_here) return made(Kind::call);
    return made(Kind::call, load_from<const std::uint8_t*>(relative32()));
  }

  const std::uint8_t* relative32() const { return at_ + load_from<std::int32_t>(at_ - 4); }

  Instruction made(Instruction::Kind kind, const std::uint8_t* target = nullptr) const {
    return {kind, static_cast<std::size_t>(at_ - begin_), target};
  }

  const std::uint8_t* begin_;
  const std::uint8_t* at_;
  std::uint8_t code_ = 0;
  bool has_size_prefix_ = false;
  bool is_wide_ = false;
};

}  // namespace

Instruction decode_instruction(const std::uint8_t* code) noexcept { return Decoder(code).decode(); }

}  // namespace greenroom::detail
