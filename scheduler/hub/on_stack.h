// on_stack: deep work on a large stack, for the time of one call, in the greenlet that makes it.
//
// A greenlet's stack is small (64 KiB), because there may be a million of them. Few of these are
// ever deep, and then within one call: a recursive parser, a std::regex. That call borrows a large
// stack from the hub's pool. It may not park, so a hub needs as many as calls of on_stack are
// nested, which is one.
//
// Rejected: growing the greenlet's own stack (its frames would have to move); a stack that stays
// with
//   a greenlet that parks on it (a million of them again: SpawnOptions::stack_size says so openly);
//   a fiber of its own (the function would not be in its caller's handlers, and neither stack
//   traces nor debuggers would see who called it).
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "greenroom/scheduler/task/task.h"

namespace greenroom {

namespace detail {

// Calls function(argument) on such a stack and throws what it throws.
void run_on_stack(std::size_t bytes, void (*function)(void*), void* argument);

// The start of a call that may park: throws std::logic_error if `self` is in on_stack().
[[noreturn]] void throw_on_stack();
inline void refuse_on_stack(const Task& self) {
  if ((self.attention & attention::on_stack) != 0) throw_on_stack();
}
// Before the calling thread gets a hub: throws std::logic_error if it is in on_stack().
void refuse_hub_on_stack();

}  // namespace detail

// Returns f(), run in the calling greenlet on a stack that has room for `bytes`, up to 256 MiB, the
// guard included there; 0 = one as the hub's greenlets have. What f throws passes through. f must
// not park: each call in it that is documented **Blocks.** throws std::logic_error, whether it
// would have to wait or not; a destructor that makes one ends the program. The stack comes from the
// hub's pool and goes back to it; a thread without a hub maps one for the call, and gets no hub in
// it: what needs one throws as well. Throws std::bad_alloc if there is no address space,
// std::invalid_argument for more than 256 MiB. May be nested.
template <class F>
auto on_stack(std::size_t bytes, F f) -> std::invoke_result_t<F> {
  using R = std::invoke_result_t<F>;
  if constexpr (std::is_void_v<R>) {
    detail::run_on_stack(
        bytes, [](void* raw) { std::invoke(std::move(*static_cast<F*>(raw))); }, &f);
  } else {
    // Of a reference the address is kept.
    using Kept = std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, R>;
    struct Call {
      F& function;
      std::optional<Kept> result = {};
    };
    Call call{f};
    detail::run_on_stack(
        bytes,
        [](void* raw) {
          auto& self = *static_cast<Call*>(raw);
          if constexpr (std::is_reference_v<R>) {
            R result = std::invoke(std::move(self.function));
            self.result.emplace(&result);
          } else {
            self.result.emplace(std::invoke(std::move(self.function)));
          }
        },
        &call);
    if constexpr (std::is_reference_v<R>) {
      return static_cast<R>(**call.result);
    } else {
      return *std::move(call.result);
    }
  }
}

}  // namespace greenroom
