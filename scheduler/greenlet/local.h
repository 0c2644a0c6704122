// green::local: a value of its own for each greenlet, as gevent.local.
#pragma once

#include <memory>
#include <utility>

#include "greenroom/scheduler/system/crossing.h"
#include "greenroom/scheduler/task/task.h"

namespace greenroom {

namespace detail {

// One task's value of one local. It is both the task's, whose hub alone reads it, and the local's,
// which may end first, on any thread.
struct LocalValue {
  LocalValue() = default;
  virtual ~LocalValue() = default;
  LocalValue(const LocalValue&) = delete;
  LocalValue& operator=(const LocalValue&) = delete;
};

class LocalSlot;

// What a local and its values share.
class LocalKey {
 public:
  LocalKey() = default;
  ~LocalKey();
  LocalKey(const LocalKey&) = delete;
  LocalKey& operator=(const LocalKey&) = delete;

  // The running task's value, made by make(*context) at its first use. std::logic_error in hub
  // work.
  LocalValue& value(std::unique_ptr<LocalValue> (*make)(const void* context), const void* context);

 private:
  friend class LocalSlot;
  struct Slots;
  const std::shared_ptr<Slots> slots_ = make_slots();
  static std::shared_ptr<Slots> make_slots();
};

}  // namespace detail

namespace green {

// A value that each greenlet sees its own of: the root greenlet, actors and servers, too, on any
// hub. In hub work, which is nobody's, using one throws std::logic_error. As gevent.local.local.
template <class T>
class local {
 public:
  // What each begins with: a copy of `initial`, made at its first use.
  explicit local(T initial = {}) : initial_(std::move(initial)) {}
  // The values of all greenlets are destroyed, on the calling thread; who still uses one must have
  // stopped. A greenlet's end destroys its own: in the greenlet, where their destructors may park
  // and nothing interrupts them, before anybody is told of the end.
  ~local() = default;
  local(const local&) = delete;
  local& operator=(const local&) = delete;

  T& operator*() const { return static_cast<Value&>(key_.value(&make, &initial_)).value; }
  T* operator->() const { return &**this; }

 private:
  struct Value final : detail::LocalValue {
    explicit Value(const T& initial) : value(initial) {}
    T value;
  };
  static std::unique_ptr<detail::LocalValue> make(const void* initial) {
    return std::make_unique<Value>(*static_cast<const T*>(initial));
  }

  const T initial_;
  mutable detail::LocalKey key_;
};

}  // namespace green
}  // namespace greenroom
