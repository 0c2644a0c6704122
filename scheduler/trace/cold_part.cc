#include "greenroom/scheduler/trace/cold_part.h"

#include <link.h>

#include <cstring>

namespace greenroom::detail {
namespace {

struct Segment {
  std::uintptr_t inside;
  const std::uint8_t* begin = nullptr;
  const std::uint8_t* end = nullptr;
};

int find_segment(dl_phdr_info* module, std::size_t, void* data) {
  auto& wanted = *static_cast<Segment*>(data);
  for (int i = 0; i < module->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = module->dlpi_phdr[i];
    const std::uintptr_t begin = module->dlpi_addr + header.p_vaddr;
    if (header.p_type != PT_LOAD || (header.p_flags & PF_X) == 0 || wanted.inside < begin ||
        wanted.inside - begin >= header.p_memsz)
      continue;
    wanted.begin = reinterpret_cast<const std::uint8_t*>(begin);
    wanted.end = wanted.begin + header.p_memsz;
    return 1;
  }
  return 0;
}

// E9, or 0F 80 to 0F 8F with a condition, then the distance from behind it.
constexpr std::ptrdiff_t distance_size = 4;
bool ends_opcode(const std::uint8_t* code) {
  return *code == 0xe9 || ((*code & 0xf0) == 0x80 && code[-1] == 0x0f);
}

}  // namespace

std::uintptr_t find_jump_into(std::uintptr_t first, std::uintptr_t last) noexcept {
  Segment segment{.inside = first};
  dl_iterate_phdr(find_segment, &segment);
  std::uintptr_t found = 0;
  std::uintptr_t leads_to = 0;
  if (segment.end - segment.begin <= distance_size) return 0;
  // Without decoding: what looks like a jump and leads there by chance is one in a hundred million.
  for (const std::uint8_t* code = segment.begin + 1; code < segment.end - distance_size; ++code) {
    if (!ends_opcode(code)) continue;
    std::int32_t distance = 0;
    std::memcpy(&distance, code + 1, sizeof distance);
    const auto at = reinterpret_cast<std::uintptr_t>(code);
    const std::uintptr_t target =
        at + 1 + sizeof distance + static_cast<std::uintptr_t>(std::intptr_t{distance});
    if (target < first || target > last || target < leads_to) continue;
    found = at;
    leads_to = target;
  }
  return found;
}

}  // namespace greenroom::detail
