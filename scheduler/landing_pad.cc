#include "greenroom/scheduler/landing_pad.h"

// Over 400 lines, because a third of them are the lengths of x86-64's instructions (Intel's manual,
// volume 2, appendix A), which nobody else needs.

#include <cxxabi.h>
#include <dlfcn.h>
#include <link.h>
#include <unwind.h>

#include <cstddef>
#include <cstring>
#include <exception>
#include <string_view>

namespace greenroom::detail {

namespace {

template <class T>
T load(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// ---- Instructions: how long each is, and the few that matter

struct Instruction {
  enum class Kind : std::uint8_t { unknown, other, call, jump, branch, end };
  Kind kind = Kind::unknown;
  std::size_t size = 0;
  const std::uint8_t* target = nullptr;  // of call, jump and branch; null if it is in a register
};

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
    return made(Kind::call, load<const std::uint8_t*>(relative32()));
  }

  const std::uint8_t* relative32() const { return at_ + load<std::int32_t>(at_ - 4); }

  Instruction made(Instruction::Kind kind, const std::uint8_t* target = nullptr) const {
    return {kind, static_cast<std::size_t>(at_ - begin_), target};
  }

  const std::uint8_t* begin_;
  const std::uint8_t* at_;
  std::uint8_t code_ = 0;
  bool has_size_prefix_ = false;
  bool is_wide_ = false;
};

// ---- Functions that are called

// The name of the function that this slot is for, should it not have been called before: the
// dynamic linker fills slots in at the first call. Empty if it is not such a slot.
std::string_view name_of_lazy_slot(const std::uint8_t* slot) {
  dl_find_object object;
  if (_dl_find_object(const_cast<std::uint8_t*>(slot), &object) != 0) return {};
  const link_map* map = object.dlfo_link_map;
  const ElfW(Rela)* relocations = nullptr;
  std::size_t size = 0;
  const ElfW(Sym)* symbols = nullptr;
  const char* strings = nullptr;
  for (const ElfW(Dyn)* entry = map->l_ld; entry->d_tag != DT_NULL; ++entry) {
    const ElfW(Addr) value = entry->d_un.d_ptr;
    if (entry->d_tag == DT_JMPREL) relocations = reinterpret_cast<const ElfW(Rela)*>(value);
    if (entry->d_tag == DT_PLTRELSZ) size = entry->d_un.d_val;
    if (entry->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const ElfW(Sym)*>(value);
    if (entry->d_tag == DT_STRTAB) strings = reinterpret_cast<const char*>(value);
  }
  if (!relocations || !symbols || !strings) return {};
  for (std::size_t i = 0; i < size / sizeof *relocations; ++i) {
    if (map->l_addr + relocations[i].r_offset != reinterpret_cast<std::uintptr_t>(slot)) continue;
    return strings + symbols[ELF64_R_SYM(relocations[i].r_info)].st_name;
  }
  return {};
}

enum class Callee : std::uint8_t { other, resume, begin_catch, terminate };

Callee callee_of_name(std::string_view name) {
  if (name == "_Unwind_Resume") return Callee::resume;
  if (name == "__cxa_begin_catch") return Callee::begin_catch;
  if (name == "_ZSt9terminatev") return Callee::terminate;
  return Callee::other;
}

Callee callee_of_address(const std::uint8_t* function) {
  const auto address = reinterpret_cast<std::uintptr_t>(function);
  if (address == reinterpret_cast<std::uintptr_t>(&_Unwind_Resume)) return Callee::resume;
  if (address == reinterpret_cast<std::uintptr_t>(&abi::__cxa_begin_catch))
    return Callee::begin_catch;
  if (address ==
      reinterpret_cast<std::uintptr_t>(static_cast<void (*)() noexcept>(&std::terminate)))
    return Callee::terminate;
  return Callee::other;
}

// A function, or the stub in the procedure linkage table that jumps to it.
Callee callee_at(const std::uint8_t* function) {
  if (const Callee callee = callee_of_address(function); callee != Callee::other) return callee;
  constexpr std::uint8_t branch_target[] = {0xf3, 0x0f, 0x1e, 0xfa};
  if (std::memcmp(function, branch_target, sizeof branch_target) == 0)
    function += sizeof branch_target;
  constexpr std::uint8_t bound_prefix = 0xf2;
  if (*function == bound_prefix) ++function;
  constexpr std::uint8_t jump_by_slot[] = {0xff, 0x25};
  if (std::memcmp(function, jump_by_slot, sizeof jump_by_slot) != 0) return Callee::other;
  const std::uint8_t* slot = function + 6 + load<std::int32_t>(function + 2);
  const Callee callee = callee_of_address(load<const std::uint8_t*>(slot));
  return callee != Callee::other ? callee : callee_of_name(name_of_lazy_slot(slot));
}

// clang's __clang_call_terminate, which has no name at run time: catches, and terminates.
bool is_catch_and_terminate(const std::uint8_t* function) {
  Callee expected = Callee::begin_catch;
  for (int i = 0; i < 6; ++i) {
    const Instruction instruction = Decoder(function).decode();
    if (instruction.kind == Instruction::Kind::call && instruction.target) {
      if (callee_at(instruction.target) != expected) return false;
      if (expected == Callee::terminate) return true;
      expected = Callee::terminate;
    } else if (instruction.kind != Instruction::Kind::other) {
      return false;
    }
    function += instruction.size;
  }
  return false;
}

// ---- All ways from a landing pad

class Walk {
 public:
  // False if something on a way is not understood.
  bool follow(const std::uint8_t* from) {
    push(from);
    while (next_ < count_) {
      if (!follow_straight(places_[next_++])) return false;
    }
    return true;
  }

  bool goes_on = false;
  bool catches = false;
  bool terminates = false;
  bool terminates_by_clang = false;

 private:
  static constexpr std::size_t place_limit = 128;
  static constexpr int straight_limit = 512;

  bool push(const std::uint8_t* place) {
    for (std::size_t i = 0; i < count_; ++i) {
      if (places_[i] == place) return true;
    }
    if (count_ == place_limit) return false;
    places_[count_++] = place;
    return true;
  }

  bool follow_straight(const std::uint8_t* at) {
    for (int i = 0; i < straight_limit; ++i) {
      const Instruction instruction = Decoder(at).decode();
      at += instruction.size;
      switch (instruction.kind) {
        case Instruction::Kind::unknown:
          return false;
        case Instruction::Kind::other:
          break;
        case Instruction::Kind::end:
          return true;
        case Instruction::Kind::jump:
          return instruction.target && push(instruction.target);
        case Instruction::Kind::branch:
          if (!push(instruction.target)) return false;
          break;
        case Instruction::Kind::call:
          if (instruction.target && note_call(instruction.target)) return true;
          break;
      }
    }
    return false;
  }

  // True if the call is the end of the way.
  bool note_call(const std::uint8_t* target) {
    switch (callee_at(target)) {
      case Callee::resume:
        return goes_on = true;
      case Callee::begin_catch:
        return catches = true;
      case Callee::terminate:
        return terminates = true;
      case Callee::other:
        break;
    }
    if (!is_catch_and_terminate(target)) return false;
    return terminates_by_clang = true;
  }

  const std::uint8_t* places_[place_limit] = {};
  std::size_t count_ = 0;
  std::size_t next_ = 0;
};

}  // namespace

PadEnd follow_landing_pad(const std::uint8_t* pad, Handlers handlers) noexcept {
  Walk walk;
  if (!walk.follow(pad)) return PadEnd::unknown;
  if (walk.goes_on) return PadEnd::goes_on;
  if (handlers == Handlers::none_that_fits)
    return walk.terminates || walk.terminates_by_clang ? PadEnd::terminates : PadEnd::unknown;
  // A plain std::terminate here is one that the program calls on the way, as ~thread does.
  const bool is_end = handlers == Handlers::catch_all_after_others || !walk.catches;
  return walk.terminates_by_clang && is_end ? PadEnd::terminates : PadEnd::catches;
}

}  // namespace greenroom::detail
