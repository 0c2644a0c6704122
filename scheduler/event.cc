#include "greenroom/scheduler/event.h"

#include "greenroom/scheduler/hub.h"

namespace greenroom::green {

void Event::set() {
  const std::lock_guard lock(mutex_);
  is_set_ = true;
  waiters_.wake_all();
  links_.tell_all();
}

void Event::clear() {
  const std::lock_guard lock(mutex_);
  is_set_ = false;
}

bool Event::has_links() const {
  const std::lock_guard lock(mutex_);
  return !waiters_.empty() || !links_.empty();
}

bool Event::hang_on(detail::ReadyLink& link) {
  const std::lock_guard lock(mutex_);
  if (!is_set_) links_.push_back(link);
  return !is_set_;
}

void Event::take_off(detail::ReadyLink& link) noexcept {
  const std::lock_guard lock(mutex_);
  links_.remove(link);
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
    detail::WaitNode node(self);
    waiters_.push_back(node);
    lock.unlock();
    const detail::ParkResult result = detail::park("event.wait", deadline);
    lock.lock();
    const bool is_told = !node.is_linked();  // set() alone takes it off
    node.unlink();
    if (result == detail::ParkResult::interrupted) {
      lock.unlock();
      detail::throw_pending();  // somebody may have cancelled the timeout that interrupted it
      lock.lock();
    }
    if (is_told || is_set_) return true;
    if (result == detail::ParkResult::expired) return false;
  }
}

}  // namespace greenroom::green
