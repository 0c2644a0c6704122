// Timeouts: an exception when time is up, as gevent.Timeout; and deadlines that whole call trees
// inherit. For the greenlet that makes them; the objects live on its stack.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include "greenroom/scheduler/hub/expiry.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom {

// Names an armed timer. Copyable; stale ones are harmless.
class TimerRef {
 public:
  TimerRef() = default;
  explicit TimerRef(std::uint64_t id) : id_(id) {}
  std::uint64_t id() const { return id_; }
  friend bool operator==(TimerRef, TimerRef) = default;

 private:
  std::uint64_t id_ = 0;
};

namespace detail {

// One of Timeout::start_detached().
bool is_detached(TimerRef ref) noexcept;
// By the greenlet that has started it: what was left; nothing if it has fired or is not its own.
std::optional<std::chrono::nanoseconds> cancel_detached(TimerRef ref);

// What run_bounded calls.
template <class Body>
void call_body(void* body) {
  (*static_cast<Body*>(body))();
}

}  // namespace detail

// After the duration, the next suspension point of this greenlet throws TimeoutError, once. An
// event that is ready in the same poll round wins. Zero or less: at the next turn of the hub. As
// gevent.Timeout.
class Timeout {
 public:
  [[nodiscard]] explicit Timeout(std::chrono::nanoseconds duration) : scope_(duration) {}

  // True if `error` was thrown by this timeout and not by another, nested one.
  bool is_mine(const TimeoutError& error) const { return error.id() == scope_.id(); }
  // It will not fire any more; one that fired and was not thrown yet is forgotten.
  void cancel() { scope_.disarm(); }

  // Stays armed without a handle until it fires or this greenlet ends; in a server's handler, until
  // the handler ends. This greenlet may cancel it: cancel_timer(ref).
  static TimerRef start_detached(std::chrono::nanoseconds duration);

 private:
  detail::ExpiringScope scope_;
};

// **Blocks.** as f does. f's result as an optional (true for void), nothing if it took longer than
// the duration: f was then left by a TimeoutError. Other timeouts pass through. As
// gevent.with_timeout.
template <class F>
auto try_for(std::chrono::nanoseconds duration, F f) {
  using R = std::invoke_result_t<F>;
  static_assert(!std::is_reference_v<R>,
                "try_for's function returns a value or nothing: return a pointer or a copy");
  if constexpr (std::is_void_v<R>) {
    return detail::run_bounded(duration, detail::call_body<F>, &f);
  } else {
    std::optional<R> result;
    auto body = [&] { result.emplace(f()); };
    detail::run_bounded(duration, detail::call_body<decltype(body)>, &body);
    return result;
  }
}

// **Blocks.** as f does. Every blocking call under it ends by the deadline with TimeoutError, and
// so does every later one until f is left. A call to a server carries the deadline along, for the
// server's request_cancelled(): it bounds the caller and not the handler. Nested ones: the nearest
// counts.
template <class F>
auto with_deadline(Wait wait, F f) {
  const detail::DeadlineScope scope(wait.to_deadline());
  return f();
}

}  // namespace greenroom
