#include "greenroom/mailbox/queue.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "greenroom/scheduler/hub.h"
#include "greenroom/scheduler/interrupt.h"

namespace greenroom::detail {

std::size_t QueueBase::size() const {
  const std::lock_guard lock(mutex_);
  return is_channel() || size_ < promised_ ? 0 : size_ - promised_;
}

bool QueueBase::full() const {
  const std::lock_guard lock(mutex_);
  return !has_room();
}

std::size_t QueueBase::unfinished() const {
  const std::lock_guard lock(mutex_);
  return unfinished_;
}

void QueueBase::note_placed() {
  ++size_;
  if (++unfinished_ == 1) all_done_.clear();
}

void QueueBase::task_done() {
  const std::lock_guard lock(mutex_);
  if (unfinished_ == 0)
    throw std::logic_error("greenroom: task_done() was called more often than items were put");
  if (--unfinished_ == 0) all_done_.set();
}

// Wakes the waiter if it still waits. One on another hub counts as waiting: should it have left, it
// finds what it was given.
bool QueueBase::win(WaitNode& node) {
  const Waker waker = node.waiting.waker();
  if (waker.task().hub == Hub::current_if_any()) return waker.wake();
  waker.wake_from_anywhere();
  return true;
}

bool QueueBase::promise_one() {
  while (!getters_.empty()) {
    auto& getter = static_cast<Getter&>(getters_.front());
    getter.unlink();
    if (!win(getter)) continue;
    getter.is_promised = true;
    ++promised_;
    return true;
  }
  return false;
}

void QueueBase::promise_next() {
  while (has_unpromised() && promise_one()) {
  }
}

QueueBase::Putter* QueueBase::win_putter() {
  while (!putters_.empty()) {
    auto& putter = static_cast<Putter&>(putters_.front());
    putter.unlink();
    --putting_;
    if (win(putter)) return &putter;
  }
  return nullptr;
}

void QueueBase::leave(Putter& putter) {
  if (!putter.is_linked()) return;
  putter.unlink();
  --putting_;
}

void QueueBase::leave(Getter& getter) {
  getter.unlink();
  if (std::exchange(getter.is_promised, false)) --promised_;
}

void QueueBase::Putter::abandoned(Abandonable& waiter) noexcept {
  auto& self = static_cast<Putter&>(waiter);
  const std::lock_guard lock(self.owner.mutex_);
  self.owner.leave(self);
}

void QueueBase::Getter::abandoned(Abandonable& waiter) noexcept {
  auto& self = static_cast<Getter&>(waiter);
  const std::lock_guard lock(self.owner.mutex_);
  self.owner.leave(self);
  self.owner.promise_next();
}

void QueueBase::wait_for_promise(std::unique_lock<SharedMutex>& lock, Task& self, Place place,
                                 Wait wait, std::int64_t deadline) {
  for (;;) {
    if (is_shut_down_) throw green::ShutDown();
    if (wait.is_poll()) throw green::Empty();
    Getter node(*this, self);
    place == Place::front ? getters_.push_front(node) : getters_.push_back(node);
    lock.unlock();
    const ParkResult result = park("queue.get", deadline, node.turn());
    lock.lock();
    const bool is_promised = node.is_promised;
    leave(node);
    if (result == ParkResult::interrupted) {
      promise_next();
      lock.unlock();
      throw_pending();
      lock.lock();
      if (has_unpromised()) return;
    } else if (is_promised) {
      return;
    } else if (result == ParkResult::expired) {
      throw green::Empty();
    }
    place = Place::front;
  }
}

bool QueueBase::wait_for_room(std::unique_lock<SharedMutex>& lock, Task& self, void* item,
                              Wait wait, std::int64_t deadline) {
  if (wait.is_poll()) throw green::Full();
  Putter node(*this, self, item);
  putters_.push_back(node);
  ++putting_;
  if (is_channel()) promise_next();
  lock.unlock();
  const ParkResult result = park("queue.put", deadline, node.turn());
  lock.lock();
  if (node.is_placed) return true;
  if (node.failure) std::rethrow_exception(node.failure);
  leave(node);
  if (result == ParkResult::interrupted) {
    lock.unlock();
    throw_pending();
    lock.lock();
  } else if (result == ParkResult::expired) {
    throw green::Full();
  }
  return false;
}

void QueueBase::shut_down(std::size_t dropped) {
  is_shut_down_ = true;
  size_ -= dropped;
  if (dropped > 0) {
    unfinished_ -= std::min(dropped, unfinished_);
    if (unfinished_ == 0) all_done_.set();
  }
  getters_.wake_all();
  putters_.wake_all();
  putting_ = 0;
}

}  // namespace greenroom::detail
