// A call of a function on another stack, and what a walk sees of it. No fiber: the thread, and
// whoever runs on it, stay what they are. Who annotates it for the sanitizers is fiber.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace greenroom::detail {

// Calls function(argument) with the stack pointer at `top`, a multiple of 16, and comes back. The
// function must not throw. Its caller's frame is known by the frame pointer, wherever the two
// stacks lie, so debuggers and the C++ runtime walk from one to the other.
void call_at(std::byte* top, void (*function)(void*) noexcept, void* argument) noexcept;

// True for the return address of a function that call_at has called: its caller is on another
// stack.
bool is_stack_switch(std::uintptr_t return_address) noexcept;

}  // namespace greenroom::detail
