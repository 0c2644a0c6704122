// Whether an exception, if it were thrown, would end in std::terminate: the search for a handler
// that the C++ runtime would do, done without throwing.
//
// What is thrown from outside (a kill, a timeout) can hit a greenlet while it waits in a destructor
// or another noexcept function. With the answer from here it stays pending instead. Asked only when
// something is about to be thrown; answers are kept by code address and type, so that it takes a
// few nanoseconds a frame, a few hundred the first time.
//
// A noexcept function has no entry for the call in its table (gcc), or one whose landing pad leads
// to std::terminate (gcc where functions were inlined, clang). A handler that throws it again on
// every way is followed; one that does so on some only is taken to keep it.
// Where something is not understood, the answer is "no", and the program ends as it would have.
//
// Thread-safe, allocates nothing.
#pragma once

#include <cstdint>
#include <typeinfo>

#include "greenroom/scheduler/unwind/stack_walk.h"

namespace greenroom::detail {

// A function that catches by a handler, and throws again what is not its own: what its code does is
// not worked out, but known.
struct Sieve {
  std::uintptr_t function = 0;  // its address; the same one in all questions of a process
  // Which of its calls takes the exception, by __builtin_frame_address(0) in it; 0: none.
  std::uintptr_t taking_frame = 0;
};

// True if an exception of this type, thrown where `thrower` was taken, would reach a function that
// must not throw before a handler that takes it. `object` is what would be thrown; it may be null
// if its type has no virtual bases.
bool would_terminate(UnwindContext thrower, const StackBounds& bounds, const std::type_info& type,
                     void* object, Sieve sieve = {}) noexcept;

// The caller of the function whose __builtin_frame_address(0) is given.
inline UnwindContext caller_of(const void* frame_address) noexcept {
  const auto* frame = static_cast<const std::uintptr_t*>(frame_address);
  return {.pc = frame[1], .sp = reinterpret_cast<std::uintptr_t>(frame + 2), .fp = frame[0]};
}

}  // namespace greenroom::detail
