// park and wake: the contract that every blocking primitive is built on.
//
// park() is the only suspension point in the tree. A primitive does, in this order:
//   1. enter_blocking_call(): throws what is pending, charges the budget and perhaps yields -
//   before the attempt,
//      so that nothing that has succeeded can be lost;
//   2. tries; if it succeeds it returns, and nothing may throw any more;
//   3. puts a WaitNode (or a Waker) where the wake will come from, and parks;
//   4. if interrupted: gives back what it holds, passes on what it was granted, then
//   throw_pending().
// A wake is won once: the task's epoch moves, and a later wake with the old epoch answers false, so
// notify-one goes on to the next waiter.
#pragma once

#include <cstdint>

#include "greenroom/scheduler/stack_walk.h"
#include "greenroom/scheduler/task.h"
#include "greenroom/scheduler/time.h"

namespace greenroom::detail {

class Port;

// What a parked task waits for, for dumps and the wait-for graph.
struct WaitsFor {
  enum class Kind : std::uint8_t { nothing, actor, task, descriptor, timer, mail };
  Kind kind = Kind::nothing;
  std::uint64_t id = 0;  // a pid's number, a descriptor, a task's address
};

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
// std::logic_error in hub work (poller callbacks, timers, posted functions); throws what is
// pending; charges the budget. Returns the current task.
Task& enter_blocking_call();

// Ready again, behind everything that is ready now.
ParkResult yield_now() noexcept;

// Wakes `task`, which lives on the current hub, if it is still in the park that `epoch` was read
// for. True if this wake won.
bool wake(Task& task, std::uint64_t epoch, ParkResult result = ParkResult::woken) noexcept;

// The same from any thread; the task is referenced until the wake arrives. Cannot tell whether it
// won.
void wake_from_anywhere(Task& task, std::uint64_t epoch);

// The same for a task that is referenced and may have left with its hub: `port` was its hub's.
void wake_by_post(Port& port, Task& task, std::uint64_t epoch);

// A waiter in the frame of a parked task: on a WaitQueue until it is woken or its frame ends.
struct WaitNode {
  explicit WaitNode(Task& waiter) : task(&waiter), epoch(waiter.epoch) {}
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

  Task* task;
  std::uint64_t epoch;
  WaitNode* next = nullptr;
  WaitNode* previous = nullptr;

 private:
  friend class WaitQueue;
  WaitNode() : task(nullptr), epoch(0), next(this), previous(this) {}
};

// Waiters in arrival order. Not thread-safe: one hub's, or under its owner's lock.
class WaitQueue {
 public:
  WaitQueue() = default;
  ~WaitQueue() { head_.next = nullptr; }
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  bool empty() const { return head_.next == &head_; }
  WaitNode& front() { return *head_.next; }
  void push_back(WaitNode& node) { insert_before(head_, node); }
  // For a waiter whose turn came to nothing.
  void push_front(WaitNode& node) { insert_before(front(), node); }

  // Wakes all, wherever they live.
  void wake_all();

 private:
  static void insert_before(WaitNode& place, WaitNode& node) {
    node.previous = place.previous;
    node.next = &place;
    place.previous->next = &node;
    place.previous = &node;
  }

  WaitNode head_;
};

}  // namespace greenroom::detail
