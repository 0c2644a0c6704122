// Timeouts: an exception when time is up, as gevent.Timeout; and deadlines that whole call trees
// inherit. For the greenlet that makes them; the objects live on its stack.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include "greenroom/scheduler/interrupt.h"
#include "greenroom/scheduler/time.h"
#include "greenroom/scheduler/timer_wheel.h"

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

// A timer of one task that a TimeoutError comes from. Small: who has many has them in cold memory.
class ExpiringScope : public TimerNode {
 public:
  // Thrown once.
  explicit ExpiringScope(std::chrono::nanoseconds duration);
  ~ExpiringScope() { disarm(); }
  ExpiringScope(const ExpiringScope&) = delete;
  ExpiringScope& operator=(const ExpiringScope&) = delete;

  // One that fired and was not thrown is forgotten.
  void disarm() noexcept {
    if (is_armed() || has_fired_) take_back();
  }
  // Unique in the process.
  std::uint64_t id() const { return sequence; }
  // Neither will it fire, nor has it anything left to throw.
  bool is_over() const { return !is_armed() && !has_fired_; }
  bool has_fired() const { return has_fired_; }
  enum class Kind : std::uint8_t { once, deadline };
  Kind kind() const { return kind_; }

 protected:
  ExpiringScope(Kind kind, Task& task) : task_(&task), kind_(kind) { fire = &on_fire; }
  Task& task() const { return *task_; }

 private:
  friend class DeadlineScope;
  static void on_fire(TimerNode& node) noexcept;
  void prepare(std::chrono::nanoseconds duration);
  void arm(TimerWheel& timers, std::int64_t at);
  void take_back() noexcept;
  void forget() noexcept;

  Task* task_;
  Kind kind_;
  bool has_fired_ = false;  // of those thrown once: on the task's list of the fired, by `next`
};

// One that every blocking call throws until the scope ends.
class DeadlineScope : public ExpiringScope {
 public:
  explicit DeadlineScope(std::int64_t deadline);
  ~DeadlineScope();

 private:
  friend std::int64_t inherited_deadline() noexcept;
  friend ExpiringScope* next_expired(const Interrupts& pending, ExpiringScope* last) noexcept;

  std::int64_t at_;
  DeadlineScope* outer_;
};

// A try_for's: while it lasts, timeouts of others pass through a handler.
class BoundedScope : public ExpiringScope {
 public:
  explicit BoundedScope(std::chrono::nanoseconds duration);
  ~BoundedScope();
  // How many others a TimeoutError of that scope passes on its way; all of them if it is not that
  // of a try_for.
  static int count_within(const Interrupts& pending, const ExpiringScope& scope) noexcept;

 private:
  BoundedScope* outer_;
};

// The scopes whose TimeoutError is pending, one after another, as they are to be thrown: null for
// the first; null after the last.
ExpiringScope* next_expired(const Interrupts& pending, ExpiringScope* last) noexcept;
// Throws the TimeoutError of one of them.
[[noreturn]] void throw_expired(ExpiringScope& scope);

// One of Timeout::start_detached().
bool is_detached(TimerRef ref) noexcept;
// By the greenlet that has started it: what was left; nothing if it has fired or is not its own.
std::optional<std::chrono::nanoseconds> cancel_detached(TimerRef ref);

// The nearest deadline that the current task inherits; no_deadline if none.
std::int64_t inherited_deadline() noexcept;

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
  const detail::BoundedScope timeout(duration);
  try {
    if constexpr (std::is_void_v<R>) {
      f();
      return true;
    } else {
      return std::optional<R>(f());
    }
  } catch (const detail::Expiry& error) {  // see unwind_probe.h
    if (static_cast<const TimeoutError&>(error).id() != timeout.id()) throw;
    if constexpr (std::is_void_v<R>) {
      return false;
    } else {
      return std::optional<R>();
    }
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
