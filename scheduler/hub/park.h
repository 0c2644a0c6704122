// park and wake: the contract that every blocking primitive is built on.
//
// park() is the only suspension point in the tree. A primitive does, in this order:
//   1. enter_blocking_call(): throws what is pending, charges the budget and perhaps yields -
//   before the attempt,
//      so that nothing that has succeeded can be lost;
//   2. tries; if it succeeds it returns, and nothing may throw any more;
//   3. puts a WaitNode (or a Waker) where the wake will come from, and parks;
//   4. if interrupted: gives back what it holds, passes on what it was granted, then
//   throw_pending(). An Abandonable does the same for a task that is abandoned in the park.
// A wake is won once: a later one answers false, so notify-one goes on to the next waiter. A wake
// that comes after its wait is over does nothing, however that ended: waker.h has the rule. What a
// primitive answers it takes from its own node and from the deadline, never from having been woken
// alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "greenroom/scheduler/task/task.h"
#include "greenroom/scheduler/task/waker.h"
#include "greenroom/scheduler/time/time.h"
#include "greenroom/scheduler/unwind/stack_walk.h"

namespace greenroom::detail {

// What a parked task waits for, for dumps and the wait-for graph.
struct WaitsFor {
  enum class Kind : std::uint8_t { nothing, actor, task, descriptor, timer, mail, turn };
  Kind kind = Kind::nothing;
  std::uint64_t id = 0;  // a pid's number, a descriptor, the address of a task or an Abandonable
};

// A waiter that may be given something before it runs: a permit, an item, its turn. If its task is
// abandoned it leaves the queue here, as nothing else will ever take it off, and what it was given
// goes on to the next.
struct Abandonable {
  // On the task's hub, and under no lock.
  using Leave = void (*)(Abandonable& waiter) noexcept;
  // An interrupt that comes when it was given something, and has not run: most take it for good.
  enum class Late : std::uint8_t { keeps, gives_back };
  explicit Abandonable(Leave function, Late late = Late::keeps)
      : leave(function), when_late(late) {}
  // For its park.
  WaitsFor turn() { return {WaitsFor::Kind::turn, reinterpret_cast<std::uintptr_t>(this)}; }
  const Leave leave;
  const Late when_late;
};

// Whoever waits for that, and was woken and has not run, may be interrupted all the same: there is
// nothing that would be lost.
inline bool may_be_late(const WaitsFor& waits_for) {
  switch (waits_for.kind) {
    case WaitsFor::Kind::nothing:
    case WaitsFor::Kind::task:
    case WaitsFor::Kind::timer:
      return true;
    case WaitsFor::Kind::turn:
      return reinterpret_cast<const Abandonable*>(waits_for.id)->when_late ==
             Abandonable::Late::gives_back;
    case WaitsFor::Kind::actor:
    case WaitsFor::Kind::descriptor:
    case WaitsFor::Kind::mail:
      return false;
  }
  return false;
}

// An open deadline: so long after the hub's next look at the clock, which comes within a
// housekeeping of the park. To read the clock takes 12 ns, a fifth of a call; so a call that is
// over before that look never does. Only for a park that begins where its caller's time does. A
// negative number; it is closed, a point in time, once the hub has looked.
constexpr bool is_open(std::int64_t deadline) { return deadline < 0; }
constexpr std::int64_t open_deadline(std::int64_t duration) { return -duration; }  // positive
constexpr std::int64_t close_deadline(std::int64_t deadline, std::int64_t now) {
  return is_open(deadline) ? add_saturated(now, -deadline) : deadline;
}

// Lives in the parked frame.
struct ParkFrame {
  const char* reason;     // a literal, shown in every dump
  std::int64_t deadline;  // may be open; no_deadline if there is none
  std::int64_t since;     // coarse: the hub's time at its last housekeeping
  WaitsFor waits_for;
  bool may_throw;           // false: unwinding or Uncancellable, an interrupt must wait
  UnwindContext primitive;  // the caller of park(), which is what would throw
};

// Parks the current task until it is woken, the deadline, which may be open, comes, or something is
// to be thrown into it. To be called by a function that is not inlined into a user's: whether a
// throw would reach a handler is looked for from that function's caller on.
ParkResult park(const char* reason, std::int64_t deadline = no_deadline,
                WaitsFor waits_for = {}) noexcept;

// Start of every call documented "Blocks.". Makes the thread's hub if there is none; throws
// std::logic_error in hub work (poller callbacks, timers, posted functions) and in on_stack();
// throws what is pending; charges the budget. Returns the current task.
Task& enter_blocking_call();

// Ready again, behind everything that is ready now.
ParkResult yield_now() noexcept;

// A place in a WaitQueue.
struct WaitLink {
  WaitLink* next = nullptr;
  WaitLink* previous = nullptr;
};

// A waiter in the frame of a task that is about to park, and does so at most once: on a WaitQueue
// until it is woken or its frame ends.
struct WaitNode : WaitLink {
  explicit WaitNode(Task& waiter) : waiting(waiter) {}
  ~WaitNode() { unlink(); }
  WaitNode(const WaitNode&) = delete;
  WaitNode& operator=(const WaitNode&) = delete;
  bool is_linked() const { return next != nullptr; }
  void unlink() noexcept {
    if (!next) return;
    previous->next = next;
    next->previous = previous;
    next = previous = nullptr;
  }

  const Waiting waiting;
};

// Waiters in arrival order. Not thread-safe: one hub's, or under its owner's lock.
class WaitQueue {
 public:
  WaitQueue() = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  bool empty() const { return head_.next == &head_; }
  WaitNode& front() { return static_cast<WaitNode&>(*head_.next); }
  // From the front on.
  template <class F>
  void for_each(F f) {
    for (WaitLink* link = head_.next; link != &head_; link = link->next)
      f(static_cast<WaitNode&>(*link));
  }
  void push_back(WaitNode& node) { insert_before(head_, node); }
  // For a waiter whose turn came to nothing.
  void push_front(WaitNode& node) { insert_before(front(), node); }

  // Wakes all, wherever they live.
  void wake_all();

 private:
  static void insert_before(WaitLink& place, WaitNode& node) {
    node.previous = place.previous;
    node.next = &place;
    place.previous->next = &node;
    place.previous = &node;
  }

  WaitLink head_{&head_, &head_};
};

}  // namespace greenroom::detail
