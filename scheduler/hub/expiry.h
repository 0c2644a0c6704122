// The scopes that a TimeoutError comes from: one timer of one task each. They live on the stack of
// the greenlet that makes them.
#pragma once

#include <chrono>
#include <cstdint>

#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/time/timer_wheel.h"

namespace greenroom::detail {

// A timer of one task that a TimeoutError comes from. Small: who has many has them in cold memory.
class ExpiringScope : public TimerNode {
 public:
  // `bounded` are those of run_bounded alone. All but `deadline` are thrown once.
  enum class Kind : std::uint8_t { once, bounded, deadline };
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
  Kind kind() const { return kind_; }
  // That of the run_bounded which takes its TimeoutError; 0 if it is none of one.
  std::uintptr_t frame() const noexcept;

 protected:
  ExpiringScope(Kind kind, Task& task) : task_(&task), kind_(kind) { fire = &on_fire; }
  void set_bounded() { kind_ = Kind::bounded; }
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

// True if body(data) has returned; false if it was left by the TimeoutError of this call, because
// it took longer than the duration. All else that leaves it passes through. A function and not a
// part of try_for, so that the search for handlers knows it by its address.
[[gnu::noinline]] bool run_bounded(std::chrono::nanoseconds duration, void (*body)(void* data),
                                   void* data);

// The scopes whose TimeoutError is pending, one after another, as they are to be thrown: null for
// the first; null after the last.
ExpiringScope* next_expired(const Interrupts& pending, ExpiringScope* last) noexcept;
// Throws the TimeoutError of one of them.
[[noreturn]] void throw_expired(ExpiringScope& scope);

// The nearest deadline that the current task inherits; no_deadline if none.
std::int64_t inherited_deadline() noexcept;

}  // namespace greenroom::detail
