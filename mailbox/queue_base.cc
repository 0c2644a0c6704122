#include "greenroom/mailbox/queue_base.h"

#include <algorithm>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/hub/turn.h"

namespace greenroom::detail {

// A queue's work on one hub.
class QueueTurn final : public Turn {
 public:
  QueueTurn(std::shared_ptr<QueueCore> core, Hub& of)
      : Turn(&run, &destroy), core_(std::move(core)) {
    hub = &of;
  }
  // The waiter runs next. For QueueBase, in take_turn().
  bool resume(const Waker& waker) noexcept { return has_resumed_ = resume_first(waker); }
  bool has_resumed() const { return has_resumed_; }
  // A putter has been served, and now it is the getters' turn.
  bool is_at_getters = false;

 private:
  static void run(Turn& turn) noexcept {
    auto& self = static_cast<QueueTurn&>(turn);
    const std::lock_guard lock(self.core_->mutex);
    self.has_resumed_ = false;
    if (self.core_->queue) self.core_->queue->take_turn(self);
  }
  static void destroy(Turn& turn) noexcept { delete static_cast<QueueTurn*>(&turn); }

  const std::shared_ptr<QueueCore> core_;
  bool has_resumed_ = false;
};

QueueBase::QueueBase(std::size_t capacity, QueueKind kind, Placing place)
    : core_(std::make_shared<QueueCore>()),
      mutex_(core_->mutex),
      capacity_(capacity),
      kind_(kind),
      place_(place) {
  core_->queue = this;
  all_done_.set();
}

QueueBase::~QueueBase() {
  if (!turn_) return;
  const std::lock_guard lock(mutex_);
  core_->queue = nullptr;
  drop_reference(*turn_);
}

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

// Who goes on.

bool QueueBase::is_for_turn(const WaitNode& waiter) {
  Hub* const here = Hub::current_if_any();
  if (!here || waiter.waiting.waker().task().hub != here) return false;
  return turn_hub_ ? turn_hub_ == here : call_turn(*here);
}

// A turn is for one hub. If there was another one, it has no place any more.
bool QueueBase::call_turn(Hub& here) {
  if (!turn_ || turn_->hub != &here) {
    auto* turn = new (std::nothrow) QueueTurn(core_, here);
    if (!turn) return false;
    if (turn_) drop_reference(*turn_);
    turn_ = turn;
  }
  if (!turn_->call(here)) return false;
  turn_hub_ = &here;
  return true;
}

void QueueBase::serve_waiters() {
  for (bool has_served = true; has_served;) {
    has_served = false;
    if (can_place() && !is_for_turn(putters_.front())) {
      place_first(nullptr);
      has_served = true;
    }
    if (can_promise() && !is_for_turn(getters_.front())) {
      promise_first(nullptr);
      has_served = true;
    }
  }
  if (!lookers_.empty() && offered() > promised_ + getting_) lookers_.wake_all();
}

void QueueBase::take_turn(QueueTurn& turn) noexcept {
  while (!served_putters_.empty()) {
    WaitNode& putter = served_putters_.front();
    putter.unlink();
    if (win(putter, &turn)) return;
  }
  bool has_served = true;
  while (has_served) {
    has_served = std::exchange(turn.is_at_getters, false);
    while (!has_served && can_place()) has_served = place_first(&turn);
    if (turn.has_resumed()) {
      turn.is_at_getters = true;
      return;
    }
    bool has_promised = false;
    while (!has_promised && can_promise()) has_promised = promise_first(&turn);
    if (turn.has_resumed()) return;
    has_served |= has_promised;
  }
  turn_hub_ = nullptr;
}

// Wakes the waiter if it still waits. One on another hub counts as waiting: should it have left, it
// finds what it was given.
bool QueueBase::win(WaitNode& waiter, QueueTurn* turn) noexcept {
  const Waker waker = waiter.waiting.waker();
  if (waker.task().hub == Hub::current_if_any()) return turn ? turn->resume(waker) : waker.wake();
  waker.wake_from_anywhere();
  return true;
}

void QueueBase::place(Putter& putter) noexcept {
  try {
    place_(*this, putter.item);
    putter.is_placed = true;
  } catch (...) {
    putter.failure = std::current_exception();
  }
}

bool QueueBase::place_first(QueueTurn* turn) noexcept {
  auto& putter = static_cast<Putter&>(putters_.front());
  take_off(putter);
  if (!win(putter, turn)) return false;
  place(putter);
  return true;
}

bool QueueBase::promise_first(QueueTurn* turn) noexcept {
  auto& getter = static_cast<Getter&>(getters_.front());
  take_off(getter);
  if (!win(getter, turn)) return false;
  getter.right = turn && turn->has_resumed() ? Right::in_turn : Right::promised;
  ++promised_;
  return true;
}

bool QueueBase::promise_directly() {
  serve();
  while (promised_ + getting_ > offered()) {
    if (promise_first(nullptr)) return true;
  }
  return false;
}

bool QueueBase::fetch(Right right) {
  Hub* const here = Hub::current_if_any();
  while (!putters_.empty()) {
    auto& putter = static_cast<Putter&>(putters_.front());
    take_off(putter);
    const Waker waker = putter.waiting.waker();
    // Its getter goes on first.
    const bool is_for_later = right == Right::in_turn && here && turn_hub_ == here &&
                              waker.task().hub == here && waker.would_win();
    if (!is_for_later && !win(putter, nullptr)) continue;
    place(putter);
    if (is_for_later) served_putters_.push_back(putter);
    if (putter.is_placed) return true;
  }
  return false;
}

bool QueueBase::can_take_now() {
  if (is_channel()) {
    serve();
    return offered() > promised_ + getting_;
  }
  if (has_unpromised()) return true;
  serve();
  // Hub work cannot wait for the turn.
  Hub* const here = Hub::current_if_any();
  while (here && !here->current_task() && can_place() && !has_unpromised()) place_first(nullptr);
  return has_unpromised();
}

bool QueueBase::can_take(Wait wait) {
  if (!can_take_now()) return false;
  return !is_channel() || size_ > promised_ || wait.is_poll() || !is_for_turn(putters_.front());
}

// Waiting.

void QueueBase::take_off(Putter& putter) noexcept {
  putter.unlink();
  --putting_;
}

void QueueBase::take_off(Getter& getter) noexcept {
  getter.unlink();
  --getting_;
}

void QueueBase::leave(Putter& putter) noexcept {
  if (!putter.is_linked()) return;
  putter.is_served() ? putter.unlink() : take_off(putter);
}

void QueueBase::leave(Getter& getter) noexcept {
  if (getter.is_linked()) take_off(getter);
  if (std::exchange(getter.right, Right::none) != Right::none) --promised_;
}

void QueueBase::Putter::abandoned(Abandonable& waiter) noexcept {
  auto& self = static_cast<Putter&>(waiter);
  const std::lock_guard lock(self.owner.mutex_);
  self.owner.leave(self);
  self.owner.serve();
}

void QueueBase::Getter::abandoned(Abandonable& waiter) noexcept {
  auto& self = static_cast<Getter&>(waiter);
  const std::lock_guard lock(self.owner.mutex_);
  self.owner.leave(self);
  self.owner.serve();
}

QueueBase::Right QueueBase::wait_for_promise(std::unique_lock<SharedMutex>& lock, Task& self,
                                             Place place, Wait wait, std::int64_t deadline) {
  if (is_shut_down_) throw green::ShutDown();
  if (wait.is_poll()) throw green::Empty();
  Getter node(*this, self);
  place == Place::front ? getters_.push_front(node) : getters_.push_back(node);
  ++getting_;
  lock.unlock();
  const ParkResult result = park("queue.get", deadline, node.turn());
  lock.lock();
  const Right right = node.right;
  leave(node);
  if (result == ParkResult::interrupted) {
    serve();
    lock.unlock();
    throw_pending();
    lock.lock();
    return Right::none;
  }
  if (right == Right::none && result == ParkResult::expired) {
    serve();
    throw green::Empty();
  }
  return right;
}

bool QueueBase::wait_for_room(std::unique_lock<SharedMutex>& lock, Task& self, void* item,
                              Wait wait, std::int64_t deadline) {
  if (wait.is_poll()) throw green::Full();
  Putter node(*this, self, item);
  putters_.push_back(node);
  ++putting_;
  serve();
  lock.unlock();
  const ParkResult result = park("queue.put", deadline, node.turn());
  lock.lock();
  leave(node);
  if (node.is_placed) return true;
  if (node.failure) std::rethrow_exception(node.failure);
  if (result == ParkResult::interrupted) {
    serve();
    lock.unlock();
    throw_pending();
    lock.lock();
  } else if (result == ParkResult::expired) {
    serve();
    throw green::Full();
  }
  return false;
}

const void* QueueBase::look_for_item() {
  const std::size_t wanted = promised_ + getting_;
  std::size_t to_skip = wanted - std::min(wanted, size_);
  const void* item = nullptr;
  putters_.for_each([&](const WaitNode& node) {
    if (item || (to_skip > 0 && to_skip-- > 0)) return;
    const Waker waker = node.waiting.waker();
    if (waker.task().hub != Hub::current_if_any() || waker.would_win())
      item = static_cast<const Putter&>(node).item;
  });
  return item;
}

void QueueBase::wait_for_putter(std::unique_lock<SharedMutex>& lock, Task& self, Wait wait,
                                std::int64_t deadline) {
  if (is_shut_down_) throw green::ShutDown();
  if (wait.is_poll()) throw green::Empty();
  WaitNode node(self);
  lookers_.push_back(node);
  lock.unlock();
  const ParkResult result = park("channel.peek", deadline);
  lock.lock();
  node.unlink();
  if (result == ParkResult::interrupted) {
    lock.unlock();
    throw_pending();
    lock.lock();
  } else if (result == ParkResult::expired) {
    throw green::Empty();
  }
}

void QueueBase::shut_down(Leftovers leftovers, std::size_t dropped) {
  size_ -= dropped;
  if (dropped > 0) {
    unfinished_ -= std::min(dropped, unfinished_);
    if (unfinished_ == 0) all_done_.set();
  }
  if (leftovers == Leftovers::to_be_got) {
    while (can_place()) place_first(nullptr);
    while (can_promise()) promise_first(nullptr);
  }
  is_shut_down_ = true;
  getters_.wake_all();
  putters_.wake_all();
  lookers_.wake_all();
  putting_ = getting_ = 0;
}

}  // namespace greenroom::detail
