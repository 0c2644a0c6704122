#include "greenroom/scheduler/event.h"

namespace greenroom::green {

// In the frame of a parked wait().
struct Event::Waiter final : detail::WaitNode {
  using WaitNode::WaitNode;
  bool is_told = false;
};

void Event::set() {
  const std::lock_guard lock(mutex_);
  is_set_ = true;
  while (!waiters_.empty()) {
    auto& waiter = static_cast<Waiter&>(waiters_.front());
    waiter.unlink();
    waiter.is_told = true;
    waiter.waiting.waker().wake_from_anywhere();
  }
}

void Event::clear() {
  const std::lock_guard lock(mutex_);
  is_set_ = false;
}

bool Event::is_set() const {
  const std::lock_guard lock(mutex_);
  return is_set_;
}

bool Event::wait(Wait wait) {
  detail::Task& self = detail::enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  std::unique_lock lock(mutex_);
  if (is_set_) return true;
  if (wait.is_poll()) return false;
  for (;;) {
    Waiter node(self);
    waiters_.push_back(node);
    lock.unlock();
    const detail::ParkResult result = detail::park("event.wait", deadline);
    lock.lock();
    node.unlink();
    if (result == detail::ParkResult::interrupted) {
      lock.unlock();
      detail::throw_pending();  // somebody may have cancelled the timeout that interrupted it
      lock.lock();
    }
    if (node.is_told || is_set_) return true;
    if (result == detail::ParkResult::expired) return false;
  }
}

}  // namespace greenroom::green
