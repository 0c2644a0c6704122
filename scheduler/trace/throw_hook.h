// The stack at the throw, for exceptions caught later: our own __cxa_throw, which notes the stack
// and goes on to the C++ runtime's. Catching, rethrowing and std::exception_ptr stay as they are.
//
// A trace belongs to its exception object, is found by that object's address on any thread, and is
// freed with it (its destructor is wrapped); so interleaved, nested and rethrown exceptions cannot
// be mixed up, and a re-used address cannot show an older one's stack.
//
// Exceptions are captured on threads that asked for it, except types that were excluded, and at
// most so many a second. make_exception_ptr does not throw, so what it makes has no trace, even
// when rethrown.
//
// Rejected: a per-thread ring keyed by address (an exception_ptr from another thread, or one whose
//   address make_exception_ptr re-uses, gets a wrong stack); enlarging the object by wrapping
//   __cxa_allocate_exception (libstdc++ finds its header by subtraction from the object).
//
// With a statically linked libstdc++ (-static-libstdc++), link with -Wl,--wrap=__cxa_throw;
// otherwise nothing is captured there.
#pragma once

#include <cstdint>
#include <exception>
#include <typeinfo>

#include "greenroom/scheduler/trace/stack_trace.h"

namespace greenroom::detail {

// Whether throws on the calling thread are captured; off for a new thread.
void set_throw_capture(bool enabled) noexcept;

// Exceptions of exactly this type are never captured: those that steer, rather than tell of a
// mistake. At most 32 types. Any thread.
void exclude_from_throw_capture(const std::type_info& type) noexcept;

// The stack at the first throw of the exception being handled, or of `exception`. Null if it was
// not captured; valid as long as the exception object lives.
const StackTrace* trace_of_current_exception() noexcept;
const StackTrace* trace_of(const std::exception_ptr& exception) noexcept;

// Of the calling thread, since it started.
struct ThrowCaptureCounters {
  std::uint64_t captured = 0;
  std::uint64_t over_limit = 0;  // wanted, but not captured
};
ThrowCaptureCounters throw_capture_counters() noexcept;

// A thread captures so many throws a second, then one in 64 until the second is over.
void set_throw_capture_limit(std::uint32_t per_second) noexcept;

}  // namespace greenroom::detail
