// Semaphore, BoundedSemaphore, Lock, RLock, Condition and Barrier for greenlets: as gevent.lock and
// Python's threading.
//
// Greenlets of any hub may wait, any thread may release. First come, first served: a release with
// waiters hands the permit to the first of them that still waits, so a late comer cannot overtake.
// Whoever is killed, or abandoned, while a permit is on its way to it passes it on. A hub whose
// root waits for another thread's release needs a Hold, as always. All must outlive their waiters.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stdexcept>

#include "greenroom/scheduler/hub/park.h"
#include "greenroom/scheduler/sync/ready_list.h"
#include "greenroom/scheduler/system/crossing.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom {

namespace detail {

// A waiter that something can be given to, under its owner's mutex.
struct GrantNode : WaitNode, Abandonable {
  GrantNode(Task& waiter, Leave function)
      : WaitNode(waiter), Abandonable(function, Late::gives_back) {}
  bool is_granted = false;
};

// Takes the first waiter that still waits off the queue, wakes it and marks it granted; null if
// there is none. A waiter on another hub counts as waiting: should it have left, it finds the mark.
// Under the mutex that guards the queue.
GrantNode* grant_to_first(WaitQueue& waiters);

}  // namespace detail

namespace green {

// A number of permits. As gevent.lock.Semaphore.
class Semaphore {
 public:
  // Throws std::invalid_argument if `permits` is negative.
  explicit Semaphore(int permits = 1);
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  // **Blocks.** until it has a permit; false if the wait was over first.
  bool acquire(Wait wait = Wait::forever());
  // Takes a permit if one is free. Any thread; never parks and never switches.
  bool try_acquire();
  // Gives a permit to the first waiter, or to whoever comes next. Any thread. Returns what
  // counter() is then.
  int release();
  // **Blocks.** until a permit is free, or goes to somebody who came before; takes none. Returns
  // counter(), 0 if the wait was over first. As Semaphore.wait.
  int wait(Wait wait = Wait::forever());

  // Free permits.
  int counter() const;
  // No permit is free.
  bool locked() const { return counter() == 0; }
  // Somebody waits for it. As Semaphore.has_links.
  bool has_links() const;

  // For wait() and iwait(): as WaitableOps.
  bool is_ready() const { return counter() > 0; }
  bool hang_on(detail::ReadyEntry& entry);
  void take_off(detail::ReadyEntry& entry) noexcept;

 protected:
  Semaphore(int permits, int bound, const char* reason);

 private:
  enum class Purpose : std::uint8_t { take, look };
  struct Waiter;
  int give_one();
  void leave(Waiter& waiter);
  bool wait_until_free(Wait wait, Purpose purpose);

  mutable detail::SharedMutex mutex_;
  int free_;         // 0 while anybody waits
  const int bound_;  // what release() may raise it to
  const char* const reason_;
  detail::WaitQueue waiters_;
  detail::ReadyList links_;
};

// A semaphore that release() does not raise above its first value: it throws std::logic_error
// instead. As gevent.lock.BoundedSemaphore.
class BoundedSemaphore : public Semaphore {
 public:
  explicit BoundedSemaphore(int permits = 1);
};

// Mutual exclusion; a std::lock_guard or std::unique_lock holds it. Not owned: any greenlet may
// release it, as a lock of Python's. std::mutex would stop the whole hub.
class Lock : private Semaphore {
 public:
  Lock() : Semaphore(1, 1, "lock.acquire") {}

  // **Blocks.** until it is free.
  void lock();
  // Any thread; never parks and never switches.
  bool try_lock() { return try_acquire(); }
  // std::logic_error if it is not locked. Any thread.
  void unlock() { release(); }

  // **Blocks.** until it is free; false if the wait was over first.
  using Semaphore::acquire;
  using Semaphore::locked;
  void release() { Semaphore::release(); }
};

// A lock that its owner, a greenlet, may take again, and releases as often. As gevent.lock.RLock.
class RLock {
 public:
  // **Blocks.** until it is free or this greenlet's; false if the wait was over first.
  bool acquire(Wait wait = Wait::forever());
  // Throws std::logic_error in any greenlet but the owner.
  void release();

  // **Blocks.** as acquire() without a limit.
  void lock();
  // Never parks.
  bool try_lock();
  void unlock() { release(); }
  // This greenlet is the owner.
  bool is_mine() const;
  // How often the owner has it; 0 if it is free.
  int count() const;

 private:
  void take(const detail::Task& self);

  Lock lock_;
  // Written by who holds lock_; relaxed, because nobody but the owner itself finds itself there.
  std::atomic<const detail::Task*> owner_{nullptr};
  std::atomic<int> count_{0};
};

// News about what a lock guards. As threading.Condition. It is itself lockable, which locks its
// lock.
class Condition {
 public:
  // With a lock of its own.
  Condition() : lock_(own_) {}
  explicit Condition(Lock& lock) : lock_(lock) {}

  void lock() { lock_.lock(); }
  bool try_lock() { return lock_.try_lock(); }
  void unlock() { lock_.unlock(); }

  // **Blocks.** until notified; false if the wait was over first. The lock, which the caller holds,
  // is free meanwhile and held again when the call returns or throws. std::logic_error if nobody
  // holds it.
  bool wait(Wait wait = Wait::forever());
  // **Blocks.** until predicate() is true, looking at each notification; what it was at last.
  template <class Predicate>
  bool wait_for(Predicate predicate, Wait wait = Wait::forever()) {
    const std::int64_t deadline = wait.to_deadline();
    while (!predicate()) {
      if (!wait_until(deadline)) return predicate();
    }
    return true;
  }
  // Wakes the first `count` who wait now. std::logic_error if nobody holds the lock.
  void notify(int count = 1);
  void notify_all();

 private:
  struct Waiter;
  bool wait_until(std::int64_t deadline);
  void leave(Waiter& waiter);
  void check_held() const;

  Lock own_;
  Lock& lock_;
  detail::SharedMutex mutex_;  // guards the queue only
  detail::WaitQueue waiters_;
};

// Thrown by Barrier::wait when the barrier has been broken.
struct BrokenBarrier : std::runtime_error {
  BrokenBarrier() : std::runtime_error("the barrier is broken: a wait timed out, or abort()") {}
};

// Lets a fixed number of greenlets go on together, round after round. As threading.Barrier.
class Barrier {
 public:
  // The last to arrive runs `action` before any goes on; if that throws, the barrier is broken.
  // Throws std::invalid_argument if `parties` is less than 1.
  explicit Barrier(int parties, std::function<void()> action = {});
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  // **Blocks.** until all have arrived. The order of arrival, from 0. Throws BrokenBarrier; a wait
  // that is over first breaks the barrier. One that is killed only leaves.
  int wait(Wait wait = Wait::forever());
  // Who waits, and who comes until reset(), gets BrokenBarrier.
  void abort();
  // As new; who waits gets BrokenBarrier.
  void reset();

  int parties() const { return parties_; }
  int waiting() const;
  bool is_broken() const;

 private:
  struct Waiter;
  enum class Outcome : std::uint8_t { none, all_came, broken };
  void leave(Waiter& waiter);
  void finish_round(std::unique_lock<detail::SharedMutex>& lock);
  void dismiss(std::uint64_t round, Outcome outcome);
  void break_rounds();

  mutable detail::SharedMutex mutex_;
  const int parties_;
  const std::function<void()> action_;
  int arrived_ = 0;          // in this round
  std::uint64_t round_ = 0;  // its number
  bool is_broken_ = false;
  detail::WaitQueue waiters_;  // of an earlier round in front, while its action runs
};

}  // namespace green
}  // namespace greenroom
