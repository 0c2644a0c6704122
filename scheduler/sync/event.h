// green::Event and green::AsyncResult: one-shot news for any number of waiters, as gevent.event.
// Any thread may set; any greenlet of any hub may wait. Both must outlive their waiters.
#pragma once

#include <exception>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/hub/park.h"
#include "greenroom/scheduler/sync/ready_list.h"
#include "greenroom/scheduler/system/crossing.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::green {

// A flag to wait for. As gevent.event.Event.
class Event {
 public:
  // Wakes those who wait now, in order; who waits later does not wait. Any thread.
  void set();
  void clear();
  bool is_set() const;
  // **Blocks.** until it is set; false if the wait was over first. True even if it is cleared
  // before this greenlet runs again. Of a set one whose waiters have not all run yet: behind those,
  // as in gevent.
  bool wait(Wait wait = Wait::forever());
  // Somebody waits for it.
  bool has_links() const;

  // For wait() and iwait(): as WaitableOps.
  bool is_ready() const { return is_set(); }
  bool hang_on(detail::ReadyEntry& entry);
  void take_off(detail::ReadyEntry& entry) noexcept;

 private:
  struct Waiter;
  void tell(detail::ReadyEntry& entry) noexcept;
  void forget(detail::ReadyEntry& entry) noexcept;
  void wait_behind_the_told(detail::Task& self, std::unique_lock<detail::SharedMutex>& lock);

  mutable detail::SharedMutex mutex_;
  bool is_set_ = false;
  detail::ReadyList waiters_;
  detail::ReadyEntry* last_told_ = nullptr;  // and has not run since
};

template <class T>
class Greenlet;
class Waitable;

// A value or an exception that comes once; setting it again replaces it for later readers. As
// gevent.event.AsyncResult.
template <class T = void>
class AsyncResult {
  using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

 public:
  // Any thread.
  void set(Value value) requires(!std::is_void_v<T>) { replace(std::move(value), nullptr); }
  void set() requires(std::is_void_v<T>) { replace(Value(), nullptr); }
  void set_exception(std::exception_ptr exception) { replace(std::nullopt, std::move(exception)); }
  // As the target of a link: a copy of what the greenlet, which has ended, ended by. GreenletExit
  // is an exception here.
  void operator()(const Greenlet<T>& ended) {
    try {
      if constexpr (std::is_void_v<T>) {
        ended.get(std::chrono::nanoseconds(0));
        set();
      } else {
        set(ended.get(std::chrono::nanoseconds(0)));
      }
    } catch (...) {
      set_exception(std::current_exception());
    }
  }
  // It has a value or an exception.
  bool ready() const { return event_.is_set(); }
  bool successful() const {
    const std::lock_guard lock(mutex_);
    return value_.has_value();
  }
  // **Blocks.** until it is set. A copy of the value; rethrows the exception; TimeoutError if the
  // wait was over first.
  T get(Wait wait = Wait::forever()) {
    if (!event_.wait(wait)) throw TimeoutError();
    const std::lock_guard lock(mutex_);
    if (exception_) std::rethrow_exception(exception_);
    if constexpr (!std::is_void_v<T>) return *value_;
  }
  // **Blocks.** until it is set; the value (true for void), or nothing if the wait was over first
  // or it holds an exception.
  std::conditional_t<std::is_void_v<T>, bool, std::optional<Value>> wait(
      Wait wait = Wait::forever()) {
    if (!event_.wait(wait)) return {};
    const std::lock_guard lock(mutex_);
    if constexpr (std::is_void_v<T>) {
      return value_.has_value();
    } else {
      return value_;
    }
  }

 private:
  friend class Waitable;
  // What was there is destroyed under no lock: its destructor may ask, and even park.
  void replace(std::optional<Value> value, std::exception_ptr exception) {
    std::optional<Value> old;
    {
      const std::lock_guard lock(mutex_);
      if (value_) old.emplace(std::move(*value_));
      value_.reset();
      if (value) value_.emplace(std::move(*value));
      std::swap(exception_, exception);
    }
    event_.set();
  }

  // Named as private members are, which they are to everybody else.
  // NOLINTBEGIN(readability-identifier-naming)
  mutable detail::SharedMutex mutex_;
  std::optional<Value> value_;
  std::exception_ptr exception_;
  Event event_;
  // NOLINTEND(readability-identifier-naming)
};

}  // namespace greenroom::green
