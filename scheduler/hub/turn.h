// Turn: hub work that has a place among the ready tasks.
//
// What a program can see of the order of its greenlets is the order of one queue. Some of it is not
// a greenlet's: a group lets go of a greenlet that has ended, a queue pairs those who wait to get
// with those who wait to put. A Turn does that when its place in the ready queue comes, behind
// everything that was ready when it was called for. It can resume a waiter in its own place, ahead
// of all who are ready, and goes on when that waiter has parked or ended. As gevent's
// loop.run_callback, and a switch made from there.
//
// One hub's: all of it is for that hub's thread, but references. Allocated, and kept by its
// references (add_reference, drop_reference): one is its owner's, one the ready queue's.
#pragma once

#include "greenroom/scheduler/task/task.h"
#include "greenroom/scheduler/task/waker.h"

namespace greenroom::detail {

class Turn : public Task {
 public:
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  // Takes a place at the end of that hub's ready queue, unless it has one somewhere. False if the
  // hub is ending: the caller is to do itself what the turn would do.
  bool call(Hub& of);
  // It has a place in the ready queue, or runs.
  bool is_called() const { return state != TaskState::idle; }

  // Either of these in what it does, once: the task runs next, and then this turn again; so return
  // now. False, and nothing happens, if its wait is over.
  bool resume_first(const Waker& waker) noexcept;
  // The same for a task that is adopted and was not started.
  void start_first(Task& task) noexcept;
  // The same for one that something was thrown into, parked or not: Hub::interrupt_first.
  bool interrupt_first(Task& task) noexcept;

 protected:
  // What it does, as hub work: it must neither block nor throw.
  using Run = void (*)(Turn& turn) noexcept;
  using Destroy = void (*)(Turn& turn) noexcept;

  Turn(Run run, Destroy destroy) : Task(ops_), run_(run), destroy_(destroy) {
    state = TaskState::idle;
  }
  ~Turn() = default;

 private:
  static void run_one(Task& task);
  static const TaskOps ops_;

  const Run run_;
  const Destroy destroy_;
  bool goes_on_ = false;
};

}  // namespace greenroom::detail
