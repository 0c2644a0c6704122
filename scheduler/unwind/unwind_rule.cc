#include "greenroom/scheduler/unwind/unwind_rule.h"

// Over 300 lines, because a frame program is one language: DWARF 4, section 6.4.2.

#include <cstddef>
#include <cstring>

#include "greenroom/scheduler/unwind/frame_description.h"
#include "greenroom/scheduler/unwind/table_reader.h"

namespace greenroom::detail {
namespace {

// DWARF's numbers for the registers.
constexpr std::uint64_t register_fp = 6;
constexpr std::uint64_t register_sp = 7;
constexpr std::uint64_t register_return = 16;

// The instructions of frame programs, DW_CFA_x in DWARF. The first three have an operand in their
// low six bits.
struct Op {
  enum : std::uint8_t {
    advance_loc = 0x40,
    offset = 0x80,
    restore_register = 0xc0,
    nop = 0x00,
    set_loc = 0x01,
    advance_loc1 = 0x02,
    advance_loc2 = 0x03,
    advance_loc4 = 0x04,
    offset_extended = 0x05,
    restore_extended = 0x06,
    undefined = 0x07,
    same_value = 0x08,
    in_register = 0x09,
    remember_state = 0x0a,
    restore_state = 0x0b,
    def_cfa = 0x0c,
    def_cfa_register = 0x0d,
    def_cfa_offset = 0x0e,
    def_cfa_expression = 0x0f,
    expression = 0x10,
    offset_extended_sf = 0x11,
    def_cfa_sf = 0x12,
    def_cfa_offset_sf = 0x13,
    val_offset = 0x14,
    val_offset_sf = 0x15,
    val_expression = 0x16,
    gnu_args_size = 0x2e,
  };
};

// The rules at one address of a function, as the program builds them up.
struct Row {
  enum class Saved : std::uint8_t { unchanged, at_offset, by_expression, elsewhere };
  std::uint64_t cfa_register = register_sp;
  std::int64_t cfa_offset = 0;
  const std::uint8_t* cfa_expression = nullptr;
  Saved fp = Saved::unchanged;
  std::int64_t fp_offset = 0;
  const std::uint8_t* fp_expression = nullptr;
  Saved return_address = Saved::unchanged;
  std::int64_t return_offset = 0;
};

class FrameProgram {
 public:
  FrameProgram(const FrameDescription& description, std::uintptr_t address)
      : description_(description), wanted_(address), location_(description.start) {}

  // False where the program uses something we do not follow.
  bool run() {
    if (!run(description_.initial, description_.initial_end)) return false;
    initial_ = row_;
    return run(description_.program, description_.program_end);
  }
  const Row& row() const { return row_; }

 private:
  bool run(const std::uint8_t* from, const std::uint8_t* end) {
    TableReader reader(from);
    while (reader.position() < end && location_ <= wanted_) {
      if (!run_one(reader)) return false;
    }
    return true;
  }

  bool run_one(TableReader& reader) {
    const auto code = reader.take<std::uint8_t>();
    const std::uint8_t operand = code & 0x3f;
    switch (code & 0xc0) {
      case Op::advance_loc:
        return advance(operand);
      case Op::offset:
        return save(operand, factored(reader.take_unsigned()));
      case Op::restore_register:
        return restore(operand);
      default:
        return run_extended(operand, reader);
    }
  }

  bool run_extended(std::uint8_t code, TableReader& reader) {
    switch (code) {
      case Op::nop:
        return true;
      case Op::set_loc:
        location_ = reader.take_encoded(description_.encoding);
        return true;
      case Op::advance_loc1:
        return advance(reader.take<std::uint8_t>());
      case Op::advance_loc2:
        return advance(reader.take<std::uint16_t>());
      case Op::advance_loc4:
        return advance(reader.take<std::uint32_t>());
      case Op::offset_extended: {
        const std::uint64_t number = reader.take_unsigned();
        return save(number, factored(reader.take_unsigned()));
      }
      case Op::offset_extended_sf: {
        const std::uint64_t number = reader.take_unsigned();
        return save(number, reader.take_signed() * description_.data_alignment);
      }
      case Op::restore_extended:
        return restore(reader.take_unsigned());
      case Op::undefined:
        return lose(reader.take_unsigned());
      case Op::same_value:
        return keep(reader.take_unsigned());
      case Op::in_register:
      case Op::val_offset:
      case Op::val_offset_sf: {
        const std::uint64_t number = reader.take_unsigned();
        reader.take_unsigned();
        return lose(number);
      }
      case Op::remember_state:
        return remember();
      case Op::restore_state:
        return recall();
      case Op::def_cfa: {
        const std::uint64_t number = reader.take_unsigned();
        return define_cfa(number, static_cast<std::int64_t>(reader.take_unsigned()));
      }
      case Op::def_cfa_sf: {
        const std::uint64_t number = reader.take_unsigned();
        return define_cfa(number, reader.take_signed() * description_.data_alignment);
      }
      case Op::def_cfa_register:
        return define_cfa(reader.take_unsigned(), row_.cfa_offset);
      case Op::def_cfa_offset:
        return define_cfa(row_.cfa_register, static_cast<std::int64_t>(reader.take_unsigned()));
      case Op::def_cfa_offset_sf:
        return define_cfa(row_.cfa_register, reader.take_signed() * description_.data_alignment);
      case Op::def_cfa_expression:
        row_.cfa_expression = take_expression(reader);
        return true;
      case Op::expression: {
        const std::uint64_t number = reader.take_unsigned();
        const std::uint8_t* expression = take_expression(reader);
        if (number != register_fp) return lose(number);
        row_.fp = Row::Saved::by_expression;
        row_.fp_expression = expression;
        return true;
      }
      case Op::val_expression: {
        const std::uint64_t number = reader.take_unsigned();
        take_expression(reader);
        return lose(number);
      }
      case Op::gnu_args_size:
        reader.take_unsigned();
        return true;
      default:
        return false;
    }
  }

  std::int64_t factored(std::uint64_t value) const {
    return static_cast<std::int64_t>(value) * description_.data_alignment;
  }
  static const std::uint8_t* take_expression(TableReader& reader) {
    const std::uint8_t* expression = reader.position();
    const std::uint64_t size = reader.take_unsigned();
    reader.skip(size);
    return expression;
  }

  bool advance(std::uint64_t distance) {
    location_ += distance * description_.code_alignment;
    return true;
  }
  bool define_cfa(std::uint64_t number, std::int64_t offset) {
    row_.cfa_register = number;
    row_.cfa_offset = offset;
    row_.cfa_expression = nullptr;
    return true;
  }
  bool save(std::uint64_t number, std::int64_t offset) {
    if (number == register_fp) set_fp(Row::Saved::at_offset, offset);
    if (number == register_return) set_return(Row::Saved::at_offset, offset);
    return true;
  }
  bool keep(std::uint64_t number) {
    if (number == register_fp) set_fp(Row::Saved::unchanged, 0);
    return true;
  }
  bool lose(std::uint64_t number) {
    if (number == register_fp) set_fp(Row::Saved::elsewhere, 0);
    if (number == register_return) set_return(Row::Saved::elsewhere, 0);
    return true;
  }
  bool restore(std::uint64_t number) {
    if (number == register_fp) {
      row_.fp = initial_.fp;
      row_.fp_offset = initial_.fp_offset;
    }
    if (number == register_return) {
      row_.return_address = initial_.return_address;
      row_.return_offset = initial_.return_offset;
    }
    return true;
  }
  bool remember() {
    if (depth_ == max_depth) return false;
    remembered_[depth_++] = row_;
    return true;
  }
  bool recall() {
    if (depth_ == 0) return false;
    row_ = remembered_[--depth_];
    return true;
  }
  void set_fp(Row::Saved saved, std::int64_t offset) {
    row_.fp = saved;
    row_.fp_offset = offset;
  }
  void set_return(Row::Saved saved, std::int64_t offset) {
    row_.return_address = saved;
    row_.return_offset = offset;
  }

  static constexpr int max_depth = 8;
  const FrameDescription& description_;
  const std::uintptr_t wanted_;
  std::uintptr_t location_;
  Row row_;
  Row initial_;
  Row remembered_[max_depth];
  int depth_ = 0;
};

// An expression of the form "frame pointer + offset", or with `dereferenced` the word at that
// address. Compilers write no other ones.
bool read_fp_expression(const std::uint8_t* expression, bool dereferenced, std::int64_t& offset) {
  TableReader reader(expression);
  const std::uint64_t size = reader.take_unsigned();
  const std::uint8_t* end = reader.position() + size;
  constexpr std::uint8_t fp_plus = 0x70 + register_fp;  // DW_OP_breg6
  constexpr std::uint8_t dereference = 0x06;
  if (reader.take<std::uint8_t>() != fp_plus) return false;
  offset = reader.take_signed();
  if (dereferenced && (reader.position() == end || reader.take<std::uint8_t>() != dereference)) {
    return false;
  }
  return reader.position() == end;
}

// What linkers write for the stubs in a procedure linkage table, 16 bytes each: they push a word at
// some place, and the frame is found by "stack pointer + 8 + (8 from that place on)".
bool read_stub_expression(const std::uint8_t* expression, std::uintptr_t address,
                          std::int64_t& offset) {
  constexpr std::uint8_t sp_plus_8_pc_and_15[] = {11, 0x77, 8, 0x80, 0, 0x3f, 0x1a};
  constexpr std::uint8_t is_at_least_shifted_added[] = {0x2a, 0x33, 0x24, 0x22};
  constexpr std::uint8_t literal = 0x30;  // DW_OP_lit0
  const std::uint8_t* const place = expression + sizeof sp_plus_8_pc_and_15;
  if (std::memcmp(expression, sp_plus_8_pc_and_15, sizeof sp_plus_8_pc_and_15) != 0 ||
      std::memcmp(place + 1, is_at_least_shifted_added, sizeof is_at_least_shifted_added) != 0 ||
      *place < literal || *place > literal + 15)
    return false;
  offset = (address & 15) >= static_cast<std::uintptr_t>(*place - literal) ? 16 : 8;
  return true;
}

UnwindRule to_rule(const Row& row, std::uintptr_t address) {
  UnwindRule rule;
  constexpr std::int64_t above_return_address = -8;
  if (row.return_address != Row::Saved::at_offset || row.return_offset != above_return_address)
    return {};

  if (row.cfa_expression != nullptr) {
    if (read_fp_expression(row.cfa_expression, true, rule.cfa_offset)) {
      rule.cfa = UnwindRule::Cfa::in_slot;
    } else if (read_stub_expression(row.cfa_expression, address, rule.cfa_offset)) {
      rule.cfa = UnwindRule::Cfa::sp_plus_offset;
    } else {
      return {};
    }
  } else if (row.cfa_register == register_sp || row.cfa_register == register_fp) {
    rule.cfa = row.cfa_register == register_sp ? UnwindRule::Cfa::sp_plus_offset
                                               : UnwindRule::Cfa::fp_plus_offset;
    rule.cfa_offset = row.cfa_offset;
  } else {
    return {};
  }

  switch (row.fp) {
    case Row::Saved::unchanged:
      rule.fp = UnwindRule::Fp::unchanged;
      break;
    case Row::Saved::at_offset:
      rule.fp = UnwindRule::Fp::at_cfa_plus_offset;
      rule.fp_offset = row.fp_offset;
      break;
    case Row::Saved::by_expression:
      rule.fp = UnwindRule::Fp::at_fp_plus_offset;
      if (!read_fp_expression(row.fp_expression, false, rule.fp_offset)) return {};
      break;
    case Row::Saved::elsewhere:
      return {};
  }
  return rule;
}

}  // namespace

UnwindRule find_unwind_rule(std::uintptr_t address) noexcept {
  FrameDescription description;
  if (!find_frame_description(address, description) || description.is_signal_frame) return {};
  FrameProgram program(description, address);
  return program.run() ? to_rule(program.row(), address) : UnwindRule{};
}

}  // namespace greenroom::detail
