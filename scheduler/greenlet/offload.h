// offload: a function on a thread of its own while the greenlet waits, for calls that block or
// compute for long.
//
// The threads are the process's: at most 10, started on demand, ended after 5 s without work. More
// calls wait for a free one, in order.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/sync/event.h"

namespace greenroom {

namespace detail {

// Any thread. The work must not throw.
void run_on_pool(std::function<void()> work);

}  // namespace detail

// **Blocks.** until f(), run on a thread of the pool, has returned; what it returned, or rethrows
// what it threw. f runs on a big stack, without a hub; it cannot be interrupted: killed or timed
// out, the greenlet leaves, and f's result is dropped when it comes. So f owns what it uses: no
// reference to this greenlet's locals, unless it is Uncancellable.
template <class F>
auto offload(F f) -> std::invoke_result_t<F> {
  using R = std::invoke_result_t<F>;
  static_assert(
      !std::is_reference_v<R>,
      "offload's function returns a value or nothing: what a reference refers to may be gone "
      "when the greenlet has left");
  using Value = std::conditional_t<std::is_void_v<R>, std::monostate, R>;
  struct State {
    explicit State(F function) : call(std::move(function)) {}
    F call;
    std::optional<Value> value;
    std::exception_ptr error;
    green::Event done;
    Hold hold;
  };
  auto state = std::make_shared<State>(std::move(f));
  state->hold = Hub::current().hold();
  detail::run_on_pool([state] {
    try {
      if constexpr (std::is_void_v<R>) {
        std::invoke(state->call);
        state->value.emplace();
      } else {
        state->value.emplace(std::invoke(state->call));
      }
    } catch (...) {
      state->error = std::current_exception();
    }
    state->done.set();
    state->hold.release();
  });
  state->done.wait();
  if (state->error) std::rethrow_exception(state->error);
  if constexpr (!std::is_void_v<R>) return std::move(*state->value);
}

}  // namespace greenroom
