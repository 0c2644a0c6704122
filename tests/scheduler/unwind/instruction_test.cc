// Decodes the code of this program, and compares it with what objdump says of it.
#include "greenroom/scheduler/unwind/instruction.h"

#include <gtest/gtest.h>
#include <link.h>

#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>

namespace greenroom::detail {

void PrintTo(Instruction::Kind kind, std::ostream* out) { *out << static_cast<int>(kind); }

namespace {

// How far the program was loaded from the addresses in its file.
std::uintptr_t load_bias() {
  std::uintptr_t bias = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        *static_cast<std::uintptr_t*>(data) = info->dlpi_addr;
        return 1;  // the program comes first
      },
      &bias);
  return bias;
}

// "  40113a:\tcall   401030 <puts@plt>"; an address of 0 is another line.
struct Listed {
  std::uintptr_t address = 0;
  std::string text = {};
};

Listed parse(std::string_view line) {
  const std::size_t colon = line.find(":\t");
  if (!line.starts_with(' ') || colon == std::string_view::npos) return {};
  return {std::strtoull(line.data(), nullptr, 16), std::string(line.substr(colon + 2))};
}

Instruction::Kind kind_of(std::string_view text) {
  for (const std::string_view prefix : {"bnd ", "notrack ", "repz "}) {
    if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  }
  const std::string_view name = text.substr(0, text.find_first_of(" \n"));
  if (name.starts_with("call")) return Instruction::Kind::call;
  if (name.starts_with("jmp")) return Instruction::Kind::jump;
  if (name.starts_with('j')) return Instruction::Kind::branch;
  if (name.starts_with("ret") || name == "ud2" || name == "hlt" || name == "int3")
    return Instruction::Kind::end;
  return Instruction::Kind::other;
}

// Where a direct one leads; 0 if it is in a register or in memory.
std::uintptr_t target_of(const std::string& text) {
  const std::size_t operand = text.find_first_of("0123456789abcdef", text.find("  "));
  if (operand == std::string::npos || text.find_first_of("*%") != std::string::npos) return 0;
  return std::strtoull(text.c_str() + operand, nullptr, 16);
}

struct Counts {
  int known = 0;
  int unknown = 0;
};

// `next`: the address of the one after it.
void compare(const Listed& listed, std::uintptr_t next, std::uintptr_t bias, Counts& counts) {
  const auto* code = reinterpret_cast<const std::uint8_t*>(listed.address + bias);
  const Instruction decoded = decode_instruction(code);
  if (decoded.kind == Instruction::Kind::unknown) {
    ++counts.unknown;
    return;
  }
  ++counts.known;
  const Instruction::Kind kind = kind_of(listed.text);
  ASSERT_EQ(decoded.size, next - listed.address) << listed.text;
  ASSERT_EQ(decoded.kind, kind) << listed.text;
  if (kind == Instruction::Kind::other || kind == Instruction::Kind::end) return;
  if (const std::uintptr_t target = target_of(listed.text)) {
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(decoded.target) - bias, target) << listed.text;
  }
}

TEST(Instruction, HasTheLengthKindAndTargetThatObjdumpSays) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> listing(
      ::popen("exec objdump -d --no-show-raw-insn -j .text /proc/$PPID/exe", "re"), ::pclose);
  ASSERT_NE(listing, nullptr);
  const std::uintptr_t bias = load_bias();
  Counts counts;
  Listed last;
  char line[4096];
  while (std::fgets(line, sizeof line, listing.get()) != nullptr) {
    Listed listed = parse(line);
    if (last.address != 0 && listed.address != 0) compare(last, listed.address, bias, counts);
    if (HasFatalFailure()) return;
    last = std::move(listed);
  }
  EXPECT_GT(counts.known, 10'000);
  EXPECT_LT(counts.unknown, counts.known / 1000);
  RecordProperty("known", counts.known);
  RecordProperty("unknown", counts.unknown);
}

}  // namespace
}  // namespace greenroom::detail
