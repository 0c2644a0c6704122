#include "greenroom/scheduler/fiber/stack_switch_x86_64.h"

extern "C" const char greenroom_stack_switch_return;

namespace greenroom::detail {

// Nothing here calls it, so that it is not inlined and the label is there once. Asking for the
// frame's address makes this function keep a frame pointer, by which its caller is found, whatever
// the compiler's flags.
[[gnu::noinline]] void call_at(std::byte* top, void (*function)(void*) noexcept,
                               void* argument) noexcept {
  const void* const frame = __builtin_frame_address(0);
  asm volatile(
      "movq %%rsp, %%rbx\n\t"
      "movq %[top], %%rsp\n\t"
      "callq *%[function]\n"
      ".globl greenroom_stack_switch_return\n\t"
      ".hidden greenroom_stack_switch_return\n"
      "greenroom_stack_switch_return:\n\t"
      "movq %%rbx, %%rsp"
      : "+D"(argument), [function] "+a"(function), [top] "+S"(top)
      : "r"(frame)
      : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2",
        "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
        "xmm14", "xmm15");
}

bool is_stack_switch(std::uintptr_t return_address) noexcept {
  return return_address == reinterpret_cast<std::uintptr_t>(&greenroom_stack_switch_return);
}

}  // namespace greenroom::detail
