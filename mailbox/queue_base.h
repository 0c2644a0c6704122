// What a queue does without knowing its items: who waits, who goes on next, and where.
//
// On one hub the order is gevent's. Nobody is handed anything when it comes: put() places its item
// where there is room, get() takes what is there, be it a late comer, and if somebody else could go
// on now, the queue's *turn* (scheduler/turn.h) is called for. When its place among the ready tasks
// comes, it lets the first putter place its item, and go on at once; then the first getter take
// one, and go on at once; and so on until neither can.
//
// A waiter of another hub is not to wait for that place, as its own hub may have nothing else to
// do: when it is the first, it is served at once. So is everybody behind a turn that is on another
// hub, and on a hub that is ending. Either way who waits to get is *promised* one item, which
// nobody else takes, and takes it when it runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>

#include "greenroom/scheduler/hub/park.h"
#include "greenroom/scheduler/sync/event.h"
#include "greenroom/scheduler/system/crossing.h"
#include "greenroom/scheduler/time/time.h"

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

}  // namespace green

namespace detail {

class QueueBase;
enum class QueueKind : std::uint8_t { buffered, channel };

class QueueTurn;

// What stays of a queue until nothing refers to it any more: a turn may still have a place
// somewhere when the queue is destroyed, which anybody may do once nobody waits.
struct QueueCore {
  SharedMutex mutex;
  QueueBase* queue;  // null: gone
};

// Everything private is under mutex_.
class QueueBase {
 public:
  QueueBase(const QueueBase&) = delete;
  QueueBase& operator=(const QueueBase&) = delete;

  // Items that get_nowait() would find; 0 for a channel. Any thread, as all that does not block.
  std::size_t size() const;
  // The same by gevent's name.
  std::size_t qsize() const { return size(); }
  bool empty() const { return size() == 0; }
  // put_nowait() would throw Full. Always true for a channel, as gevent's.
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
  friend class QueueTurn;
  enum class Place : std::uint8_t { back, front };
  // To take an item: none, one that is there or is promised, or one promised by the turn, which
  // then lets the putter of it go on.
  enum class Right : std::uint8_t { none, promised, in_turn };
  // Into the container; what it throws has placed nothing.
  using Placing = void (*)(QueueBase& queue, void* item);

  // In the frame of a parked put().
  struct Putter final : WaitNode, Abandonable {
    Putter(QueueBase& queue, Task& putting, void* value)
        : WaitNode(putting), Abandonable(&abandoned), owner(queue), item(value) {}
    static void abandoned(Abandonable& waiter) noexcept;
    bool is_served() const { return is_placed || failure; }
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
    Right right = Right::none;
  };

  QueueBase(std::size_t capacity, QueueKind kind, Placing place);
  ~QueueBase();

  bool is_channel() const { return kind_ == QueueKind::channel; }
  bool has_room() const { return !is_channel() && (capacity_ == 0 || size_ < capacity_); }
  // What there is to be got, or will be once its putter is asked.
  std::size_t offered() const { return size_ + (is_channel() ? putting_ : 0); }
  bool has_unpromised() const { return offered() > promised_; }
  bool can_place() const { return !putters_.empty() && has_room(); }
  bool can_promise() const { return !getters_.empty() && has_unpromised(); }
  // One item more is in the queue, and one more to be done.
  void note_placed();

  // A getter that comes now may take one at once. Of a channel it may not, if the turn is to do it.
  bool can_take(Wait wait);
  // The same for one that cannot wait.
  bool can_take_now();
  // Whoever can go on now is served, or will be by the turn. After whatever may have made that so.
  void serve() {
    if (!getters_.empty() || !putters_.empty()) [[unlikely]]
      serve_waiters();
  }
  void serve_waiters();
  // The same after an item was taken.
  void serve_after_get() {
    // In gevent a get lets the turn come even while there are still more items than there may be.
    if (!is_channel() && !putters_.empty()) [[unlikely]]
      is_for_turn(putters_.front());
    serve();
  }
  // For a channel: a getter that waits, and that no putter waits for, is promised what is about to
  // be pushed. False if there is none.
  bool promise_directly();
  bool is_for_turn(const WaitNode& waiter);
  bool call_turn(Hub& here);
  // What the turn does, under the lock; returns when a waiter is to run, and when nothing is left
  // to do.
  void take_turn(QueueTurn& turn) noexcept;

  // The first one goes on, in the turn's place if there is one; false if it has left.
  bool place_first(QueueTurn* turn) noexcept;
  bool promise_first(QueueTurn* turn) noexcept;
  void place(Putter& putter) noexcept;
  // Of a channel: an item comes out of its putter's frame. False if no putter waits.
  bool fetch(Right right);
  static bool win(WaitNode& waiter, QueueTurn* turn) noexcept;
  void take_off(Putter& putter) noexcept;
  void take_off(Getter& getter) noexcept;
  // They do not wait any more, and what they were given goes back.
  void leave(Putter& putter) noexcept;
  void leave(Getter& getter) noexcept;

  // Parks until an item is promised to this greenlet; `none` if it is to look again, as the next in
  // line. Throws Empty, ShutDown or what is pending, and then nothing is promised to it any more.
  Right wait_for_promise(std::unique_lock<SharedMutex>& lock, Task& self, Place place, Wait wait,
                         std::int64_t deadline);
  // Parks until the item is placed, or there may be room (false); throws Full, ShutDown, what is
  // pending or what placing it threw, and then it was not placed.
  bool wait_for_room(std::unique_lock<SharedMutex>& lock, Task& self, void* item, Wait wait,
                     std::int64_t deadline);
  // Of a channel: where the item is that get() would return; null if nothing is offered. Good as
  // long as the lock is held.
  const void* look_for_item();
  // Parks until that may have changed; throws as get() does.
  void wait_for_putter(std::unique_lock<SharedMutex>& lock, Task& self, Wait wait,
                       std::int64_t deadline);
  // Everybody is served or woken. `dropped` items have been taken out, and will never be got.
  enum class Leftovers : std::uint8_t { to_be_got, dropped };
  void shut_down(Leftovers leftovers, std::size_t dropped);

  const std::shared_ptr<QueueCore> core_;
  SharedMutex& mutex_;  // the core's
  const std::size_t capacity_;
  const QueueKind kind_;
  bool is_shut_down_ = false;
  const Placing place_;
  std::size_t size_ = 0;      // items in the container
  std::size_t promised_ = 0;  // getters that were woken for one and have not run yet
  std::size_t putting_ = 0;   // putters on the list, some of which may have left
  std::size_t getting_ = 0;   // the same of getters
  std::size_t unfinished_ = 0;
  WaitQueue getters_;
  WaitQueue putters_;
  WaitQueue served_putters_;  // of a channel: their items are taken, and the turn is to resume them
  WaitQueue lookers_;         // of a channel: they wait in peek()
  QueueTurn* turn_ = nullptr;  // made when it is first called for, for that hub
  Hub* turn_hub_ = nullptr;    // where it has a place or runs; null if nowhere

  green::Event all_done_;
};

}  // namespace detail
}  // namespace greenroom
