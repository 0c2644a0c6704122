#include "greenroom/scheduler/sync/event.h"

#include "greenroom/scheduler/hub/hub.h"

namespace greenroom::green {

// A task that waits; in its frame.
struct Event::Waiter final : detail::ReadyEntry {
  explicit Waiter(detail::Task& self) : ReadyEntry(&wake, &self), waiting(self) {}
  static bool wake(ReadyEntry& entry) noexcept {
    auto& waiter = static_cast<Waiter&>(entry);
    waiter.is_told = true;
    const detail::Waker waker = waiter.waiting.waker();
    if (waker.task().hub == Hub::current_if_any()) {
      waker.wake();
      return true;
    }
    waker.wake_by_post();
    return false;
  }
  const detail::Waiting waiting;
  bool is_told = false;
};

void Event::tell(detail::ReadyEntry& entry) noexcept {
  entry.unlink();
  if (entry.tell(entry)) last_told_ = &entry;
}

// It runs again, or has left.
void Event::forget(detail::ReadyEntry& entry) noexcept {
  entry.unlink();
  if (last_told_ == &entry) last_told_ = nullptr;
}

void Event::set() {
  const std::lock_guard lock(mutex_);
  is_set_ = true;
  while (!waiters_.empty()) tell(waiters_.front());
}

void Event::clear() {
  const std::lock_guard lock(mutex_);
  is_set_ = false;
}

bool Event::has_links() const {
  const std::lock_guard lock(mutex_);
  return !waiters_.empty();
}

bool Event::hang_on(detail::ReadyEntry& entry) {
  const std::lock_guard lock(mutex_);
  waiters_.push_back(entry);
  if (is_set_) tell(entry);
  return true;
}

void Event::take_off(detail::ReadyEntry& entry) noexcept {
  const std::lock_guard lock(mutex_);
  forget(entry);
}

bool Event::is_set() const {
  const std::lock_guard lock(mutex_);
  return is_set_;
}

// In gevent the event still tells its waiters then, and whoever comes is told last.
void Event::wait_behind_the_told(detail::Task& self, std::unique_lock<detail::SharedMutex>& lock) {
  if (!last_told_ || last_told_->task->hub != self.hub) return;
  detail::Task& place = *last_told_->task;
  Waiter node(self);
  last_told_ = &node;
  lock.unlock();
  self.hub->yield_behind(place);
  lock.lock();
  forget(node);
  lock.unlock();
  detail::throw_pending(self);
}

bool Event::wait(Wait wait) {
  detail::Task& self = detail::enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  std::unique_lock lock(mutex_);
  if (is_set_) {
    if (!wait.is_poll()) wait_behind_the_told(self, lock);
    return true;
  }
  if (wait.is_poll()) return false;
  for (;;) {
    Waiter node(self);
    waiters_.push_back(node);
    lock.unlock();
    const detail::ParkResult result = detail::park("event.wait", deadline);
    lock.lock();
    forget(node);
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
