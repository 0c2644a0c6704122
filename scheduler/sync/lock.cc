#include "greenroom/scheduler/sync/lock.h"

#include <cassert>
#include <limits>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"

namespace greenroom {

namespace detail {

GrantNode* grant_to_first(WaitQueue& waiters) {
  while (!waiters.empty()) {
    auto& node = static_cast<GrantNode&>(waiters.front());
    node.unlink();
    const Waker waker = node.waiting.waker();
    if (waker.task().hub == Hub::current_if_any()) {
      if (!waker.wake()) continue;  // timed out or killed: it has not run yet
    } else {
      waker.wake_from_anywhere();
    }
    node.is_granted = true;
    return &node;
  }
  return nullptr;
}

}  // namespace detail

namespace green {

using detail::ParkResult;

// Semaphore.

struct Semaphore::Waiter final : detail::GrantNode {
  Waiter(Semaphore& semaphore, detail::Task& task, Purpose why)
      : GrantNode(task, &abandoned), owner(semaphore), purpose(why) {}
  static void abandoned(Abandonable& waiter) noexcept {
    auto& self = static_cast<Waiter&>(waiter);
    const std::lock_guard lock(self.owner.mutex_);
    self.owner.leave(self);
  }
  Semaphore& owner;
  Purpose purpose;
};

// It does not take what it waited for.
void Semaphore::leave(Waiter& waiter) {
  waiter.unlink();
  if (waiter.is_granted && waiter.purpose == Purpose::take) give_one();
}

Semaphore::Semaphore(int permits)
    : Semaphore(permits, std::numeric_limits<int>::max(), "semaphore.acquire") {}

Semaphore::Semaphore(int permits, int bound, const char* reason)
    : free_(permits), bound_(bound), reason_(reason) {
  if (permits < 0) throw std::invalid_argument("greenroom: a semaphore with a negative counter");
}

BoundedSemaphore::BoundedSemaphore(int permits)
    : Semaphore(permits, permits, "semaphore.acquire") {}

bool Semaphore::acquire(Wait wait) { return wait_until_free(wait, Purpose::take); }

int Semaphore::wait(Wait wait) { return wait_until_free(wait, Purpose::look) ? counter() : 0; }

bool Semaphore::wait_until_free(Wait wait, Purpose purpose) {
  detail::Task& self = detail::enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  std::unique_lock lock(mutex_);
  for (;;) {
    if (free_ > 0) {
      if (purpose == Purpose::take) --free_;
      return true;
    }
    if (wait.is_poll()) return false;
    Waiter node(*this, self, purpose);
    waiters_.push_back(node);
    lock.unlock();
    const ParkResult result = detail::park(reason_, deadline, node.turn());
    lock.lock();
    node.unlink();
    if (result == ParkResult::interrupted) {
      leave(node);
      lock.unlock();
      detail::throw_pending();
      lock.lock();
    } else if (node.is_granted) {
      return true;
    } else if (result == ParkResult::expired) {
      return false;
    }
  }
}

bool Semaphore::try_acquire() {
  const std::lock_guard lock(mutex_);
  if (free_ == 0) return false;
  --free_;
  return true;
}

// Who only looks is told on the way to the first who takes.
int Semaphore::give_one() {
  while (detail::GrantNode* node = detail::grant_to_first(waiters_)) {
    if (static_cast<Waiter*>(node)->purpose == Purpose::take) return free_;
  }
  ++free_;
  links_.tell_all();
  return free_;
}

bool Semaphore::has_links() const {
  const std::lock_guard lock(mutex_);
  return !waiters_.empty() || !links_.empty();
}

bool Semaphore::hang_on(detail::ReadyEntry& entry) {
  const std::lock_guard lock(mutex_);
  if (free_ == 0) links_.push_back(entry);
  return free_ == 0;
}

void Semaphore::take_off(detail::ReadyEntry& entry) noexcept {
  const std::lock_guard lock(mutex_);
  entry.unlink();
}

int Semaphore::release() {
  const std::lock_guard lock(mutex_);
  if (free_ >= bound_)
    throw std::logic_error("greenroom: released too many times: each release() needs an acquire()");
  return give_one();
}

int Semaphore::counter() const {
  const std::lock_guard lock(mutex_);
  return free_;
}

// Lock and RLock.

namespace {

// Without a limit there is no refusal: what follows relies on having the lock.
void must_hold([[maybe_unused]] bool has_it) { assert(has_it); }

}  // namespace

void Lock::lock() { must_hold(acquire()); }

void RLock::lock() { must_hold(acquire()); }

bool RLock::acquire(Wait wait) {
  const detail::Task& self = detail::enter_blocking_call();
  if (owner_.load(std::memory_order_relaxed) != &self && !lock_.acquire(wait)) return false;
  take(self);
  return true;
}

bool RLock::try_lock() {
  const detail::Task* self = Hub::current().current_task();
  if (!self) throw std::logic_error("greenroom: an RLock in hub work, where nothing can own it");
  if (owner_.load(std::memory_order_relaxed) != self && !lock_.try_lock()) return false;
  take(*self);
  return true;
}

void RLock::take(const detail::Task& self) {
  owner_.store(&self, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_relaxed);
}

void RLock::release() {
  if (!is_mine()) {
    throw std::logic_error(
        "greenroom: cannot release an un-acquired RLock: only the greenlet that has it may");
  }
  if (count_.fetch_sub(1, std::memory_order_relaxed) > 1) return;
  owner_.store(nullptr, std::memory_order_relaxed);
  lock_.release();
}

bool RLock::is_mine() const {
  Hub* hub = Hub::current_if_any();
  return hub && hub->current_task() &&
         owner_.load(std::memory_order_relaxed) == hub->current_task();
}

int RLock::count() const { return count_.load(std::memory_order_relaxed); }

// Condition.

struct Condition::Waiter final : detail::GrantNode {
  Waiter(Condition& condition, detail::Task& task)
      : GrantNode(task, &abandoned), owner(condition) {}
  static void abandoned(Abandonable& waiter) noexcept {
    auto& self = static_cast<Waiter&>(waiter);
    const std::lock_guard lock(self.owner.mutex_);
    self.owner.leave(self);
  }
  Condition& owner;
};

// Its notification is for the next.
void Condition::leave(Waiter& waiter) {
  waiter.unlink();
  if (waiter.is_granted) detail::grant_to_first(waiters_);
}

void Condition::check_held() const {
  if (!lock_.locked())
    throw std::logic_error("greenroom: lock a Condition before wait() and notify()");
}

bool Condition::wait(Wait wait) { return wait_until(wait.to_deadline()); }

bool Condition::wait_until(std::int64_t deadline) {
  detail::Task& self = detail::enter_blocking_call();
  check_held();
  for (;;) {
    Waiter node(*this, self);
    {
      const std::lock_guard guard(mutex_);
      waiters_.push_back(node);
    }
    lock_.unlock();
    const ParkResult result = detail::park("condition.wait", deadline, node.turn());
    {
      const std::lock_guard guard(mutex_);
      node.unlink();
      if (result == ParkResult::interrupted) leave(node);
    }
    {
      const Uncancellable must_hold_the_lock;
      lock_.lock();
    }
    if (result == ParkResult::interrupted) {
      detail::throw_pending();
    } else if (node.is_granted || result == ParkResult::expired) {
      return node.is_granted;
    }
  }
}

void Condition::notify(int count) {
  check_held();
  const std::lock_guard guard(mutex_);
  while (count-- > 0 && detail::grant_to_first(waiters_)) {
  }
}

void Condition::notify_all() { notify(std::numeric_limits<int>::max()); }

// Barrier.

struct Barrier::Waiter final : detail::WaitNode, detail::Abandonable {
  Waiter(Barrier& barrier, detail::Task& task, std::uint64_t number)
      : WaitNode(task), Abandonable(&abandoned), owner(barrier), round(number) {}
  static void abandoned(Abandonable& waiter) noexcept {
    auto& self = static_cast<Waiter&>(waiter);
    const std::lock_guard lock(self.owner.mutex_);
    if (self.outcome == Outcome::none) self.owner.leave(self);
  }
  Barrier& owner;
  std::uint64_t round;
  Outcome outcome = Outcome::none;
};

// It does not count as one who has arrived.
void Barrier::leave(Waiter& waiter) {
  waiter.unlink();
  if (waiter.round == round_) --arrived_;
}

Barrier::Barrier(int parties, std::function<void()> action)
    : parties_(parties), action_(std::move(action)) {
  if (parties < 1) throw std::invalid_argument("greenroom: a barrier needs at least one party");
}

int Barrier::wait(Wait wait) {
  detail::Task& self = detail::enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  std::unique_lock lock(mutex_);
  for (;;) {
    if (is_broken_) throw BrokenBarrier();
    const int index = arrived_++;
    if (arrived_ == parties_) {
      finish_round(lock);
      return index;
    }
    Waiter node(*this, self, round_);
    waiters_.push_back(node);
    lock.unlock();
    const ParkResult result = detail::park("barrier.wait", deadline, node.turn());
    lock.lock();
    node.unlink();
    if (node.outcome == Outcome::all_came) return index;
    if (node.outcome == Outcome::broken) throw BrokenBarrier();
    if (result == ParkResult::expired) {
      break_rounds();
      throw BrokenBarrier();
    }
    leave(node);
    lock.unlock();
    detail::throw_pending();
    lock.lock();
  }
}

// Whoever arrives while the action runs belongs to the next round.
void Barrier::finish_round(std::unique_lock<detail::SharedMutex>& lock) {
  const std::uint64_t round = round_++;
  arrived_ = 0;
  if (action_) {
    lock.unlock();
    try {
      action_();
    } catch (...) {
      lock.lock();
      break_rounds();
      throw;
    }
    lock.lock();
  }
  dismiss(round, Outcome::all_came);
}

void Barrier::dismiss(std::uint64_t round, Outcome outcome) {
  while (!waiters_.empty()) {
    auto& node = static_cast<Waiter&>(waiters_.front());
    if (node.round > round) return;
    node.unlink();
    node.outcome = outcome;
    node.waiting.waker().wake_from_anywhere();
  }
}

void Barrier::break_rounds() {
  is_broken_ = true;
  arrived_ = 0;
  dismiss(round_, Outcome::broken);
}

void Barrier::abort() {
  const std::lock_guard lock(mutex_);
  break_rounds();
}

void Barrier::reset() {
  const std::lock_guard lock(mutex_);
  break_rounds();
  ++round_;
  is_broken_ = false;
}

int Barrier::waiting() const {
  const std::lock_guard lock(mutex_);
  return arrived_;
}

bool Barrier::is_broken() const {
  const std::lock_guard lock(mutex_);
  return is_broken_;
}

}  // namespace green
}  // namespace greenroom
