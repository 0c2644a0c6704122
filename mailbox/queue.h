// Queue, LifoQueue, PriorityQueue and Channel: values from greenlet to greenlet, as gevent.queue.
// To send to an actor, use its mailbox.
//
// Greenlets of any hub may block on one; the calls that do not block are for any thread. Getters
// and putters are served first come, first served, on one hub in exactly that order. An item is in
// the queue or has been returned, never in between: a getter that is woken has the right to *one*
// item and takes it when it runs, so one that is killed on the way loses nothing, and a
// PriorityQueue gives the smallest at that moment. A putter's item is not in the queue before there
// is room. All must outlive their waiters. Moving a T must not throw.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "greenroom/mailbox/queue_container.h"
#include "greenroom/scheduler/crossing.h"
#include "greenroom/scheduler/event.h"
#include "greenroom/scheduler/park.h"
#include "greenroom/scheduler/time.h"

namespace greenroom {
namespace green {

// Thrown by get() when there was nothing in time, by put() when there was no room in time, and by
// both after shutdown().
struct Empty : std::exception {
  const char* what() const noexcept override { return "the queue is empty"; }
};
struct Full : std::exception {
  const char* what() const noexcept override { return "the queue is full"; }
};
struct ShutDown : std::exception {
  const char* what() const noexcept override { return "the queue is shut down"; }
};

struct QueueOptions {
  std::size_t max_size = 0;  // 0 = unbounded
};

}  // namespace green

namespace detail {

enum class QueueKind { buffered, channel };

// What a queue does without knowing its items. Everything private is under mutex_.
class QueueBase {
 public:
  QueueBase(const QueueBase&) = delete;
  QueueBase& operator=(const QueueBase&) = delete;

  // Items that get_nowait() would find. Any thread, as all that does not block.
  std::size_t size() const;
  bool empty() const { return size() == 0; }
  // put_nowait() would throw Full.
  bool full() const;

  // One item that was got has been worked on. Throws std::logic_error if there were not so many.
  void task_done();
  // **Blocks.** until task_done() was called for every item ever put; false if the wait was over
  // first.
  bool join(Wait wait = Wait::forever()) { return all_done_.wait(wait); }
  // Items put and not yet task_done().
  std::size_t unfinished() const;

 private:
  template <class T, class Container>
  friend class QueueOf;
  enum class Place { back, front };

  // In the frame of a parked put().
  struct Putter final : WaitNode, Abandonable {
    Putter(QueueBase& queue, Task& putting, void* value)
        : WaitNode(putting), Abandonable(&abandoned), owner(queue), item(value) {}
    static void abandoned(Abandonable& waiter) noexcept;
    QueueBase& owner;
    void* item;
    bool is_placed = false;
    std::exception_ptr failure = {};  // it could not be placed
  };
  // In the frame of a parked get().
  struct Getter final : WaitNode, Abandonable {
    Getter(QueueBase& queue, Task& getting)
        : WaitNode(getting), Abandonable(&abandoned), owner(queue) {}
    static void abandoned(Abandonable& waiter) noexcept;
    QueueBase& owner;
    bool is_promised = false;
  };

  QueueBase(std::size_t capacity, QueueKind kind) : capacity_(capacity), kind_(kind) {
    all_done_.set();
  }

  bool has_room() const {
    return kind_ == QueueKind::buffered && (capacity_ == 0 || size_ < capacity_);
  }
  bool has_unpromised() const { return size_ + (is_channel() ? putting_ : 0) > promised_; }
  bool is_channel() const { return kind_ == QueueKind::channel; }
  // One item more is in the queue, and one more to be done.
  void note_placed();
  // Promises what there is to the getters that wait.
  void promise_next();
  // Promises an item that is about to be placed; false if nobody waits for one.
  bool promise_one();
  // The first putter that still waits, woken; its item is to be placed at once. Null if none.
  Putter* win_putter();

  // Parks until an item is promised to this greenlet; throws Empty, ShutDown or what is pending,
  // and then nothing is promised to it any more.
  void wait_for_promise(std::unique_lock<SharedMutex>& lock, Task& self, Place place, Wait wait,
                        std::int64_t deadline);
  // Parks until the item is placed, or there may be room (false); throws Full, ShutDown, what is
  // pending or what placing it threw, and then it was not placed.
  bool wait_for_room(std::unique_lock<SharedMutex>& lock, Task& self, void* item, Wait wait,
                     std::int64_t deadline);
  static bool win(WaitNode& node);
  // They do not wait any more.
  void leave(Putter& putter);
  void leave(Getter& getter);
  // Wakes everybody; `dropped` items will never be got.
  void shut_down(std::size_t dropped);

  mutable SharedMutex mutex_;
  const std::size_t capacity_;
  const QueueKind kind_;
  bool is_shut_down_ = false;
  std::size_t size_ = 0;      // items in the container
  std::size_t promised_ = 0;  // getters that were woken for one and have not run yet
  std::size_t putting_ = 0;   // putters on the list, some of which may have left
  std::size_t unfinished_ = 0;
  WaitQueue getters_;
  WaitQueue putters_;

  green::Event all_done_;
};

// Container: push(T), pop() -> T, front() -> const T&, take_all() -> something that owns them.
template <class T, class Container>
class QueueOf : public QueueBase {
 public:
  // **Blocks.** while it is full. Throws Full if the wait was over first, and ShutDown.
  void put(T item, Wait wait = Wait::forever());
  // Throws Full and ShutDown; `item` is then lost. Any thread; never parks and never switches.
  void put_nowait(T item);

  // **Blocks.** while it is empty. Throws Empty if the wait was over first, and ShutDown once
  // nothing is left.
  T get(Wait wait = Wait::forever());
  // Throws Empty and ShutDown. Any thread; never parks and never switches.
  T get_nowait();

  // From now on put() throws ShutDown, for those who wait in it too; get() does, once it is empty.
  // An immediate one drops what is there, as if it were got and done. As queue.Queue.shutdown.
  enum class Shutdown { drain, immediate };
  void shutdown(Shutdown how = Shutdown::drain);

 protected:
  explicit QueueOf(std::size_t capacity, QueueKind kind = QueueKind::buffered)
      : QueueBase(capacity, kind) {}

  T peek_front(Wait wait);
  void push(T item) {
    container_.push(std::move(item));
    note_placed();
  }

 private:
  bool place_waiting();
  std::optional<T> take();

  Container container_;
};

}  // namespace detail

namespace green {

// First in, first out. As gevent.queue.Queue.
template <class T>
class Queue : public detail::QueueOf<T, detail::FifoContainer<T>> {
 public:
  explicit Queue(QueueOptions options = {}) : Queue::QueueOf(options.max_size) {}
  // **Blocks.** while it is empty. A copy of what get() would return. Throws as get().
  T peek(Wait wait = Wait::forever()) { return this->peek_front(wait); }
};

// In Python this is a queue with task_done() and join(), which all of ours have.
template <class T>
using JoinableQueue = Queue<T>;

// Last in, first out. As gevent.queue.LifoQueue.
template <class T>
class LifoQueue : public detail::QueueOf<T, detail::LifoContainer<T>> {
 public:
  explicit LifoQueue(QueueOptions options = {}) : LifoQueue::QueueOf(options.max_size) {}
  // **Blocks.** As Queue::peek.
  T peek(Wait wait = Wait::forever()) { return this->peek_front(wait); }
};

// The smallest first; in any order among equals. As gevent.queue.PriorityQueue. What Less throws,
// put() throws, and its item is lost, or get(), and nothing is taken; all other items stay.
template <class T, class Less = std::less<T>>
class PriorityQueue : public detail::QueueOf<T, detail::HeapContainer<T, Less>> {
 public:
  explicit PriorityQueue(QueueOptions options = {}) : PriorityQueue::QueueOf(options.max_size) {}
  PriorityQueue(QueueOptions options, std::vector<T> items) : PriorityQueue(options) {
    for (T& item : items) this->push(std::move(item));
  }
  // **Blocks.** As Queue::peek.
  T peek(Wait wait = Wait::forever()) { return this->peek_front(wait); }
};

// Holds nothing: put() blocks until a get() has taken the item. As gevent.queue.Channel.
template <class T>
class Channel : public detail::QueueOf<T, detail::FifoContainer<T>> {
 public:
  Channel() : Channel::QueueOf(0, detail::QueueKind::channel) {}
};

}  // namespace green

namespace detail {

template <class T, class Container>
void QueueOf<T, Container>::put(T item, Wait wait) {
  Task& self = enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  std::unique_lock lock(mutex_);
  for (;;) {
    if (is_shut_down_) throw green::ShutDown();
    if (has_room()) break;
    if (is_channel() && wait.is_poll() && promise_one()) {
      push(std::move(item));
      return;
    }
    if (wait_for_room(lock, self, &item, wait, deadline)) return;
  }
  push(std::move(item));
  promise_next();
}

template <class T, class Container>
void QueueOf<T, Container>::put_nowait(T item) {
  const std::lock_guard lock(mutex_);
  if (is_shut_down_) throw green::ShutDown();
  if (is_channel()) {
    if (!promise_one()) throw green::Full();
    push(std::move(item));
    return;
  }
  if (!has_room()) throw green::Full();
  push(std::move(item));
  promise_next();
}

template <class T, class Container>
T QueueOf<T, Container>::get(Wait wait) {
  Task& self = enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  std::unique_lock lock(mutex_);
  Place place = Place::back;
  for (;;) {
    if (has_unpromised()) {
      if (std::optional<T> item = take()) return std::move(*item);
      continue;  // of a channel: its putter had left
    }
    wait_for_promise(lock, self, place, wait, deadline);
    if (std::optional<T> item = take()) return std::move(*item);
    place = Place::front;  // the item that was promised is not there any more
  }
}

template <class T, class Container>
T QueueOf<T, Container>::get_nowait() {
  const std::lock_guard lock(mutex_);
  while (has_unpromised()) {
    if (std::optional<T> item = take()) return std::move(*item);
  }
  if (is_shut_down_) throw green::ShutDown();
  throw green::Empty();
}

template <class T, class Container>
T QueueOf<T, Container>::peek_front(Wait wait) {
  Task& self = enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  std::unique_lock lock(mutex_);
  while (size_ == 0) wait_for_promise(lock, self, Place::back, wait, deadline);
  promise_next();  // before the copy, which may throw
  return container_.front();
}

template <class T, class Container>
void QueueOf<T, Container>::shutdown(Shutdown how) {
  // Declared first, so that what items do in their destructors is done without the lock.
  decltype(container_.take_all()) dropped;
  const std::lock_guard lock(mutex_);
  if (how == Shutdown::immediate) dropped = container_.take_all();
  shut_down(dropped.size());
}

// Moves a waiting putter's item in; false if none waits. One that cannot be placed is its putter's
// failure, and not the caller's.
template <class T, class Container>
bool QueueOf<T, Container>::place_waiting() {
  while (Putter* putter = win_putter()) {
    try {
      push(std::move(*static_cast<T*>(putter->item)));
      putter->is_placed = true;
      return true;
    } catch (...) {
      putter->failure = std::current_exception();
    }
  }
  return false;
}

// What it throws has taken nothing: whoever waits is promised what the caller was.
template <class T, class Container>
std::optional<T> QueueOf<T, Container>::take() {
  if (size_ == 0 && !place_waiting()) return std::nullopt;
  std::optional<T> item;
  try {
    item.emplace(container_.pop());
  } catch (...) {
    promise_next();
    throw;
  }
  --size_;
  if (has_room() && place_waiting()) promise_next();
  return item;
}

}  // namespace detail
}  // namespace greenroom
