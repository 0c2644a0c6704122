// Whether an exception, if it were thrown, would end in std::terminate: the search for a handler
// that the C++ runtime would do, done without throwing.
//
// What is thrown from outside (a kill, a timeout) can hit a greenlet while it waits in a destructor
// or another noexcept function. With the answer from here it stays pending instead. A few hundred
// nanoseconds a frame, paid only when something is about to be thrown.
//
// Knows what gcc writes: a noexcept function has no entry for the call, an entry says what is
// caught there. Exact but for two cases, where the answer is "no" and the program ends as it would
// have: gcc writes no mark if, in one function, the call is inside a `try` that does not catch the
// type and the `try` inside the noexcept; clang's mark is found only if nothing is to be destroyed
// on the way.
//
// Thread-safe, allocates nothing.
#pragma once

#include <typeinfo>

#include "greenroom/scheduler/stack_walk.h"

namespace greenroom::detail {

// True if an exception of this type, thrown where `thrower` was taken, would reach a function that
// must not throw before a handler. `object` is what would be thrown; it may be null if its type has
// no virtual bases.
bool would_terminate(UnwindContext thrower, const StackBounds& bounds, const std::type_info& type,
                     void* object) noexcept;

// The caller of the function whose __builtin_frame_address(0) is given.
UnwindContext caller_of(const void* frame_address) noexcept;

}  // namespace greenroom::detail
