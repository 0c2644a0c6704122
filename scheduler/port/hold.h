// A promise that a hub will be woken from outside. Any thread may end one.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "greenroom/scheduler/port/port.h"

namespace greenroom {

// Keeps a hub from concluding that nothing can wake it. Take one for a thread that will post, send
// or set from outside.
class Hold {
 public:
  Hold() = default;
  ~Hold() { release(); }
  Hold(Hold&& other) noexcept : counter_(std::move(other.counter_)) {}
  Hold& operator=(Hold&& other) noexcept {
    release();
    counter_ = std::move(other.counter_);
    return *this;
  }
  void release() noexcept;  // any thread

 private:
  friend class Hub;
  struct Counter {
    std::atomic<int> count{0};
    std::atomic<detail::Port*> port{nullptr};  // null: the hub has ended
  };
  explicit Hold(std::shared_ptr<Counter> counter);
  std::shared_ptr<Counter> counter_;
};

}  // namespace greenroom
