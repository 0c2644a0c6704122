#include "greenroom/scheduler/unwind/landing_pad.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <link.h>
#include <unwind.h>

#include <cstddef>
#include <cstring>
#include <exception>
#include <string_view>

#include "greenroom/scheduler/unwind/instruction.h"
#include "greenroom/scheduler/unwind/table_reader.h"

namespace greenroom::detail {

namespace {

// Functions that are called.

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

enum class Callee : std::uint8_t { other, resume, begin_catch, end_catch, raise, terminate };

Callee callee_of_name(std::string_view name) {
  if (name == "_Unwind_Resume") return Callee::resume;
  if (name == "__cxa_begin_catch") return Callee::begin_catch;
  if (name == "__cxa_end_catch") return Callee::end_catch;
  if (name == "__cxa_rethrow" || name == "__cxa_throw") return Callee::raise;
  if (name == "_ZSt9terminatev") return Callee::terminate;
  return Callee::other;
}

Callee callee_of_address(const std::uint8_t* function) {
  const auto address = reinterpret_cast<std::uintptr_t>(function);
  if (address == reinterpret_cast<std::uintptr_t>(&_Unwind_Resume)) return Callee::resume;
  if (address == reinterpret_cast<std::uintptr_t>(&abi::__cxa_begin_catch))
    return Callee::begin_catch;
  if (address == reinterpret_cast<std::uintptr_t>(&abi::__cxa_end_catch)) return Callee::end_catch;
  if (address == reinterpret_cast<std::uintptr_t>(&abi::__cxa_rethrow) ||
      address == reinterpret_cast<std::uintptr_t>(&abi::__cxa_throw))
    return Callee::raise;
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
  const std::uint8_t* slot = function + 6 + load_from<std::int32_t>(function + 2);
  const Callee callee = callee_of_address(load_from<const std::uint8_t*>(slot));
  return callee != Callee::other ? callee : callee_of_name(name_of_lazy_slot(slot));
}

// clang's __clang_call_terminate, which has no name at run time: catches, and terminates.
bool is_catch_and_terminate(const std::uint8_t* function) {
  Callee expected = Callee::begin_catch;
  for (int i = 0; i < 6; ++i) {
    const Instruction instruction = decode_instruction(function);
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

// All ways from a landing pad, or from the begin of a handler.

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
  // Goes on in the handlers that it has come to; ends where they end.
  bool follow_handlers() {
    is_in_handlers_ = true;
    count_ = next_ = 0;
    for (std::size_t i = 0; i < handler_count_; ++i) push(handlers_[i]);
    while (next_ < count_) {
      if (!follow_straight(places_[next_++])) return false;
    }
    return handler_count_ > 0;
  }

  bool goes_on = false;
  bool catches = false;
  bool terminates = false;
  bool terminates_by_clang = false;
  bool ends_handler = false;                   // a handler is left with the exception taken
  const std::uint8_t* raises_after = nullptr;  // a handler throws, by the call before this

 private:
  static constexpr std::size_t place_limit = 128;
  static constexpr std::size_t handler_limit = 8;
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
      const Instruction instruction = decode_instruction(at);
      at += instruction.size;
      switch (instruction.kind) {
        case Instruction::Kind::unknown:
          return false;
        case Instruction::Kind::other:
          break;
        case Instruction::Kind::end:
          ends_handler |= is_in_handlers_;
          return true;
        case Instruction::Kind::jump:
          return instruction.target && push(instruction.target);
        case Instruction::Kind::branch:
          if (!push(instruction.target)) return false;
          break;
        case Instruction::Kind::call:
          if (!instruction.target) break;
          if (is_in_handlers_ ? note_call_in_handler(instruction.target, at)
                              : note_call(instruction.target, at))
            return true;
          break;
      }
    }
    return false;
  }

  // True if the call is the end of the way.
  bool note_call(const std::uint8_t* target, const std::uint8_t* after) {
    switch (callee_at(target)) {
      case Callee::resume:
        return goes_on = true;
      case Callee::begin_catch:
        if (handler_count_ < handler_limit) handlers_[handler_count_++] = after;
        return catches = true;
      case Callee::terminate:
        return terminates = true;
      default:
        break;
    }
    if (!is_catch_and_terminate(target)) return false;
    return terminates_by_clang = true;
  }

  bool note_call_in_handler(const std::uint8_t* target, const std::uint8_t* after) {
    switch (callee_at(target)) {
      case Callee::end_catch:
        return ends_handler = true;
      case Callee::raise:
        raises_after = after;
        return true;
      case Callee::resume:
      case Callee::terminate:
        return true;
      default:
        return false;
    }
  }

  const std::uint8_t* places_[place_limit] = {};
  std::size_t count_ = 0;
  std::size_t next_ = 0;
  const std::uint8_t* handlers_[handler_limit] = {};
  std::size_t handler_count_ = 0;
  bool is_in_handlers_ = false;
};

}  // namespace

bool ends_in_terminate(const std::uint8_t* pad, Handlers handlers) noexcept {
  Walk walk;
  if (!walk.follow(pad) || walk.goes_on) return false;
  if (handlers == Handlers::none_that_fits) return walk.terminates || walk.terminates_by_clang;
  // A plain std::terminate here is one that the program calls on the way, as ~thread does.
  return walk.terminates_by_clang &&
         (handlers == Handlers::catch_all_after_others || !walk.catches);
}

const std::uint8_t* find_rethrow(const std::uint8_t* pad) noexcept {
  Walk walk;
  if (!walk.follow(pad) || !walk.follow_handlers() || walk.ends_handler) return nullptr;
  return walk.raises_after;
}

}  // namespace greenroom::detail
