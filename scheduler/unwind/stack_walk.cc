#include "greenroom/scheduler/unwind/stack_walk.h"

#include <dlfcn.h>

#include <atomic>

#include "greenroom/scheduler/unwind/unwind_rule.h"

namespace greenroom::detail {
namespace {

// The table of known rules.

// A rule and its address in one word, so that no reader sees half of one:
//   address (47 bits) | the CFA is counted from fp (1) | fp saved at CFA - 8 * (n + 1), 0:
//   unchanged (3) | offset / 8 (13)
// The rules that do not fit, a few in a program, are worked out each time. A library that is
// unloaded and another one loaded at the same addresses leaves wrong rules behind until they are
// forgotten: a wrong line in a report at worst, as the one caller to whom it matters sees to that.
constexpr unsigned offset_bits = 13;
constexpr unsigned saved_bits = 3;
constexpr unsigned address_shift = offset_bits + saved_bits + 1;
constexpr std::uint64_t from_fp = std::uint64_t{1} << (offset_bits + saved_bits);

constexpr unsigned table_bits = 12;
constinit std::atomic<std::uint64_t> known_rules[1u << table_bits] = {};

std::atomic<std::uint64_t>& slot_of(std::uintptr_t address) {
  return known_rules[(address * 0x9e3779b97f4a7c15u) >> (64 - table_bits)];
}

// 0 if the rule does not fit. UnwindRule{} is an offset of 0, which no real rule has.
std::uint64_t pack(std::uintptr_t address, const UnwindRule& rule) {
  if (rule.cfa == UnwindRule::Cfa::in_slot || rule.fp == UnwindRule::Fp::at_fp_plus_offset)
    return 0;
  if (rule.cfa_offset % 8 != 0 || rule.fp_offset % 8 != 0) return 0;
  const std::int64_t offset = rule.cfa_offset / 8;
  const std::int64_t saved = rule.fp == UnwindRule::Fp::unchanged ? 0 : -rule.fp_offset / 8 - 1;
  if (offset < 0 || offset >= (1 << offset_bits)) return 0;
  if (saved < 0 || saved >= (1 << saved_bits)) return 0;
  if (rule.fp != UnwindRule::Fp::unchanged && saved == 0) return 0;
  return (std::uint64_t{address} << address_shift) |
         (rule.cfa == UnwindRule::Cfa::fp_plus_offset ? from_fp : 0) |
         (static_cast<std::uint64_t>(saved) << offset_bits) | static_cast<std::uint64_t>(offset);
}

UnwindRule unpack(std::uint64_t word) {
  UnwindRule rule;
  rule.cfa_offset = static_cast<std::int64_t>(word & ((1u << offset_bits) - 1)) * 8;
  if (rule.cfa_offset == 0) return {};
  rule.cfa =
      (word & from_fp) != 0 ? UnwindRule::Cfa::fp_plus_offset : UnwindRule::Cfa::sp_plus_offset;
  const auto saved = static_cast<std::int64_t>((word >> offset_bits) & ((1u << saved_bits) - 1));
  if (saved != 0) {
    rule.fp = UnwindRule::Fp::at_cfa_plus_offset;
    rule.fp_offset = -8 * (saved + 1);
  }
  return rule;
}

UnwindRule rule_at(std::uintptr_t address) {
  std::atomic<std::uint64_t>& slot = slot_of(address);
  // Relaxed: the word is the whole message.
  const std::uint64_t word = slot.load(std::memory_order_relaxed);
  if (word >> address_shift == address) return unpack(word);
  const UnwindRule rule = find_unwind_rule(address);
  if (const std::uint64_t packed = pack(address, rule))
    slot.store(packed, std::memory_order_relaxed);
  return rule;
}

// The step.

// Reads a stack, which the sanitizers believe to have no business being read.
#if defined(__clang__)
__attribute__((no_sanitize("address", "thread", "memory")))
#else
__attribute__((no_sanitize_address, no_sanitize_thread))
#endif
bool load(std::uintptr_t address, const StackBounds& bounds, std::uintptr_t& value) {
  if (address % 8 != 0 || address < bounds.low || address >= bounds.high ||
      bounds.high - address < 8)
    return false;
  value = *reinterpret_cast<const volatile std::uintptr_t*>(address + bounds.displacement);
  return true;
}

bool is_code(std::uintptr_t address) {
  dl_find_object object;
  return _dl_find_object(reinterpret_cast<void*>(address), &object) == 0;
}

// Code we know nothing of: it may have a frame pointer. Only with bounds, because this is a guess.
bool try_frame_pointer(UnwindContext& context, const StackBounds& bounds) {
  if (!bounds.is_known() || context.fp < context.sp) return false;
  UnwindContext caller{.sp = context.fp + 16};
  if (!load(context.fp, bounds, caller.fp) || !load(context.fp + 8, bounds, caller.pc))
    return false;
  if (!is_code(caller.pc)) return false;
  context = caller;
  return true;
}

}  // namespace

bool unwind_step(UnwindContext& context, const StackBounds& bounds) noexcept {
  const UnwindRule rule = rule_at(context.pc - 1);
  UnwindContext caller{.fp = context.fp};
  switch (rule.cfa) {
    case UnwindRule::Cfa::unknown:
      return try_frame_pointer(context, bounds);
    case UnwindRule::Cfa::sp_plus_offset:
      caller.sp = context.sp + static_cast<std::uintptr_t>(rule.cfa_offset);
      break;
    case UnwindRule::Cfa::fp_plus_offset:
      caller.sp = context.fp + static_cast<std::uintptr_t>(rule.cfa_offset);
      break;
    case UnwindRule::Cfa::in_slot:
      if (!load(context.fp + static_cast<std::uintptr_t>(rule.cfa_offset), bounds, caller.sp))
        return false;
      break;
  }
  if (caller.sp <= context.sp) return false;  // a stack that grows the wrong way would never end
  const std::uintptr_t saved_at =
      (rule.fp == UnwindRule::Fp::at_fp_plus_offset ? context.fp : caller.sp) +
      static_cast<std::uintptr_t>(rule.fp_offset);
  if (rule.fp != UnwindRule::Fp::unchanged && !load(saved_at, bounds, caller.fp)) return false;
  if (!load(caller.sp - 8, bounds, caller.pc) || caller.pc == 0) return false;
  context = caller;
  return true;
}

void forget_unwind_rules() noexcept {
  for (auto& slot : known_rules) slot.store(0, std::memory_order_relaxed);
}

}  // namespace greenroom::detail
