// Queue, LifoQueue, PriorityQueue and Channel: values from greenlet to greenlet, as gevent.queue.
// To send to an actor, use its mailbox.
//
// Greenlets of any hub may block on one; the calls that do not block are for any thread. Getters
// and putters that wait are served first come, first served, on one hub in exactly gevent's order
// (queue_base.h): when the queue's turn comes among the ready greenlets, and until then who comes
// later may take what is there, or the room. So a greenlet that puts and gets without a wait in
// between can take everything from those who wait. Not of a channel.
//
// An item is in the queue or has been returned, never in between: a getter that is woken has the
// right to *one* item and takes it when it runs, so one that is killed on the way loses nothing,
// and a PriorityQueue gives the smallest at that moment. A putter's item is not in the queue before
// there is room. All must outlive their waiters. Moving a T must not throw.
#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "greenroom/mailbox/queue_base.h"
#include "greenroom/mailbox/queue_container.h"

namespace greenroom {
namespace green {

struct QueueOptions {
  std::size_t max_size = 0;  // 0 = unbounded
};

}  // namespace green

namespace detail {

template <class T, class Container>
class QueueOf;

// Of a queue that is read to its end: at one item, or at the end.
template <class T, class Container>
class QueueIterator {
 public:
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::input_iterator_tag;

  explicit QueueIterator(QueueOf<T, Container>& queue) : queue_(&queue) { ++*this; }
  T& operator*() const { return *here_; }
  T* operator->() const { return &*here_; }
  // **Blocks.** as get().
  QueueIterator& operator++() {
    here_.reset();
    try {
      here_.emplace(queue_->get());
    } catch (const green::ShutDown&) {
    }
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const QueueIterator& at, std::default_sentinel_t) { return !at.here_; }

 private:
  QueueOf<T, Container>* queue_;
  mutable std::optional<T> here_;
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

  // **Blocks.** as get(). What comes, one after another, until the queue is shut down and nothing
  // is left: for (T& item : queue). Any number of greenlets; each item is for one of them. As
  // iteration over a gevent.queue, which a StopIteration ends that somebody puts.
  QueueIterator<T, Container> begin() { return QueueIterator<T, Container>(*this); }
  std::default_sentinel_t end() { return {}; }

 protected:
  explicit QueueOf(std::size_t capacity, QueueKind kind = QueueKind::buffered)
      : QueueBase(capacity, kind, &place) {}

  // Before anybody else knows of it. They may be more than it will take afterwards.
  void fill(std::vector<T> items) {
    for (T& item : items) push(std::move(item));
  }

  T peek_front(Wait wait);
  T peek_front_now();
  T peek_putter(Wait wait);
  T peek_putter_now();

 private:
  static void place(QueueBase& queue, void* item) {
    static_cast<QueueOf&>(queue).push(std::move(*static_cast<T*>(item)));
  }
  void push(T item) {
    container_.push(std::move(item));
    note_placed();
  }
  std::optional<T> take(Right right);

  Container container_;
};

}  // namespace detail

namespace green {

// First in, first out. As gevent.queue.Queue.
template <class T>
class Queue : public detail::QueueOf<T, detail::FifoContainer<T>> {
 public:
  explicit Queue(QueueOptions options = {}) : Queue::QueueOf(options.max_size) {}
  // With these in it, even if they are more than max_size; each is to be done, for join().
  Queue(QueueOptions options, std::vector<T> items) : Queue(options) {
    this->fill(std::move(items));
  }
  // **Blocks.** while it is empty. A copy of what get() would return. Throws as get().
  T peek(Wait wait = Wait::forever()) { return this->peek_front(wait); }
  // The same at once. Throws as get_nowait(). Any thread; never parks and never switches.
  T peek_nowait() { return this->peek_front_now(); }
};

// In Python this is a queue with task_done() and join(), which all of ours have.
template <class T>
using JoinableQueue = Queue<T>;

// Last in, first out. As gevent.queue.LifoQueue.
template <class T>
class LifoQueue : public detail::QueueOf<T, detail::LifoContainer<T>> {
 public:
  explicit LifoQueue(QueueOptions options = {}) : LifoQueue::QueueOf(options.max_size) {}
  // As Queue's; the last one comes first.
  LifoQueue(QueueOptions options, std::vector<T> items) : LifoQueue(options) {
    this->fill(std::move(items));
  }
  // **Blocks.** As Queue::peek.
  T peek(Wait wait = Wait::forever()) { return this->peek_front(wait); }
  // As Queue::peek_nowait.
  T peek_nowait() { return this->peek_front_now(); }
};

// The smallest first; in any order among equals. As gevent.queue.PriorityQueue. What Less throws,
// put() throws, and its item is lost, or get(), and nothing is taken; all other items stay.
template <class T, class Less = std::less<T>>
class PriorityQueue : public detail::QueueOf<T, detail::HeapContainer<T, Less>> {
 public:
  explicit PriorityQueue(QueueOptions options = {}) : PriorityQueue::QueueOf(options.max_size) {}
  // As Queue's.
  PriorityQueue(QueueOptions options, std::vector<T> items) : PriorityQueue(options) {
    this->fill(std::move(items));
  }
  // **Blocks.** As Queue::peek.
  T peek(Wait wait = Wait::forever()) { return this->peek_front(wait); }
  // As Queue::peek_nowait.
  T peek_nowait() { return this->peek_front_now(); }
};

// Holds nothing: put() blocks until a get() has taken the item. As gevent.queue.Channel; but there
// put_nowait() and get_nowait() wait for a moment, and here they need somebody who waits already.
template <class T>
class Channel : public detail::QueueOf<T, detail::FifoContainer<T>> {
 public:
  Channel() : Channel::QueueOf(0, detail::QueueKind::channel) {}
  // **Blocks.** until a putter waits that no getter waits for. A copy of its item, which get()
  // would return; the putter goes on waiting. Throws as get().
  T peek(Wait wait = Wait::forever()) { return this->peek_putter(wait); }
  // The same at once. Throws as get_nowait(). Any thread; never parks and never switches.
  T peek_nowait() { return this->peek_putter_now(); }
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
    if (is_channel() && wait.is_poll() && promise_directly()) {
      push(std::move(item));
      return;
    }
    if (wait_for_room(lock, self, &item, wait, deadline)) return;
  }
  push(std::move(item));
  serve();
}

template <class T, class Container>
void QueueOf<T, Container>::put_nowait(T item) {
  const std::lock_guard lock(mutex_);
  if (is_shut_down_) throw green::ShutDown();
  if (is_channel()) {
    if (!promise_directly()) throw green::Full();
    push(std::move(item));
    return;
  }
  if (!has_room()) throw green::Full();
  push(std::move(item));
  serve();
}

template <class T, class Container>
T QueueOf<T, Container>::get(Wait wait) {
  Task& self = enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  std::unique_lock lock(mutex_);
  Place place = Place::back;
  for (;;) {
    Right right = Right::promised;
    if (!can_take(wait)) {
      right = wait_for_promise(lock, self, place, wait, deadline);
      place = Place::front;  // should there be nothing to take after all
    }
    if (right == Right::none) continue;
    if (std::optional<T> item = take(right)) return std::move(*item);
  }
}

template <class T, class Container>
T QueueOf<T, Container>::get_nowait() {
  const std::lock_guard lock(mutex_);
  while (can_take_now()) {
    if (std::optional<T> item = take(Right::promised)) return std::move(*item);
  }
  if (is_shut_down_) throw green::ShutDown();
  throw green::Empty();
}

template <class T, class Container>
T QueueOf<T, Container>::peek_front(Wait wait) {
  Task& self = enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  std::unique_lock lock(mutex_);
  if (size_ == 0) serve();
  while (size_ == 0) wait_for_promise(lock, self, Place::back, wait, deadline);
  serve();  // before the copy, which may throw
  return container_.front();
}

template <class T, class Container>
T QueueOf<T, Container>::peek_front_now() {
  const std::lock_guard lock(mutex_);
  if (can_take_now()) return container_.front();
  if (is_shut_down_) throw green::ShutDown();
  throw green::Empty();
}

template <class T, class Container>
T QueueOf<T, Container>::peek_putter(Wait wait) {
  Task& self = enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  std::unique_lock lock(mutex_);
  for (;;) {
    if (const void* item = look_for_item()) return *static_cast<const T*>(item);
    wait_for_putter(lock, self, wait, deadline);
  }
}

template <class T, class Container>
T QueueOf<T, Container>::peek_putter_now() {
  const std::lock_guard lock(mutex_);
  if (const void* item = look_for_item()) return *static_cast<const T*>(item);
  if (is_shut_down_) throw green::ShutDown();
  throw green::Empty();
}

template <class T, class Container>
void QueueOf<T, Container>::shutdown(Shutdown how) {
  // Declared first, so that what items do in their destructors is done without the lock.
  decltype(container_.take_all()) dropped;
  const std::lock_guard lock(mutex_);
  if (how == Shutdown::immediate) dropped = container_.take_all();
  shut_down(how == Shutdown::immediate ? Leftovers::dropped : Leftovers::to_be_got, dropped.size());
}

// What it throws has taken nothing: whoever waits is served as if the caller had not come.
template <class T, class Container>
std::optional<T> QueueOf<T, Container>::take(Right right) {
  if (size_ == 0 && !fetch(right)) return std::nullopt;
  std::optional<T> item;
  try {
    item.emplace(container_.pop());
  } catch (...) {
    serve();
    throw;
  }
  --size_;
  serve_after_get();
  return item;
}

}  // namespace detail
}  // namespace greenroom
