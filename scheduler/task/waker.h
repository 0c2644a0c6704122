// Waker and Waiting: how a parked task is woken from elsewhere, and how a wait ends for good.
//
// The rule: who is to be found by a wake makes a Waiting first, in its own frame, and gives away
// Wakers that come from it. A wake moves the task's epoch, so of many wakes one wins, and a Waker
// with an older epoch has lost. Where no wake has moved it - the waiter has found what it wanted
// before it parked, has thrown, or its park was refused because something is pending - the end of
// the Waiting does: a wake that another hub has posted by then, and that is still in the inbox,
// must not end the next park. Between a Waiting and its park nothing else may park.
//
// A waiter that is found by its state instead (parked for mail, for a reply, in its own hub's
// structures) needs neither: Hub::end_park wakes it, and nothing that is late can.
#pragma once

#include <cstdint>

#include "greenroom/scheduler/task/task.h"

namespace greenroom {
class Hub;
}

namespace greenroom::detail {

class Port;

// Ends one park of one task, once. A value for timers, pollers, queues and posts; a default one is
// nobody's.
class Waker {
 public:
  Waker() = default;

  // On the task's hub: makes it ready, with that result. True if this wake won. False if the wait
  // is over, by another wake or because its owner has left, or if the task is not parked.
  bool wake(ParkResult result = ParkResult::woken) const noexcept;
  // On the task's hub: wake() would win now.
  bool would_win() const noexcept {
    return task_->epoch == epoch_ && task_->state == TaskState::parked;
  }
  // Any thread; the task must live at least until this returns, and is kept until the wake arrives.
  // Its hub may have ended. Cannot tell whether it won.
  void wake_from_anywhere() const;
  // The same where its hub is known to be another one.
  void wake_by_post() const;

  Task& task() const { return *task_; }

 private:
  friend class Waiting;
  friend class ParkDeadline;
  friend class ::greenroom::Hub;
  Waker(Task& task, std::uint64_t epoch, Port* port = nullptr)
      : task_(&task), epoch_(epoch), port_(port) {}

  Task* task_ = nullptr;
  std::uint64_t epoch_ = 0;
  Port* port_ = nullptr;  // its hub's. A task that was abandoned stays where it waits when its hub
                          // ends; ports stay for ever
};

// A wait of the current task for one park, from before anybody can wake it until nobody may any
// more. In the waiter's frame.
class Waiting {
 public:
  explicit Waiting(Task& task) noexcept;  // needs hub.h
  ~Waiting() {
    Task& task = *waker_.task_;
    if (task.epoch == waker_.epoch_) ++task.epoch;
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  Waker waker() const { return waker_; }

 private:
  const Waker waker_;
};

}  // namespace greenroom::detail
