// The deadline of a park, in its frame. It reaches the timer wheel at the next housekeeping only:
// most parks with a deadline, calls above all, are over before that. One hub's.
#pragma once

#include <cstdint>

#include "greenroom/scheduler/task/waker.h"
#include "greenroom/scheduler/time/timer_wheel.h"

namespace greenroom::detail {

class ParkDeadline {
 public:
  struct Timer : TimerNode {
    Waker waker;
  };
  // The head of a ring.
  ParkDeadline() : next_(this), previous_(this) {}
  // In a ring, until it is armed.
  ParkDeadline(ParkDeadline& ring, Task& task)
      : next_(&ring), previous_(ring.previous_), task_(&task) {
    ring.previous_->next_ = this;
    ring.previous_ = this;
  }
  ~ParkDeadline() {}
  ParkDeadline(const ParkDeadline&) = delete;
  ParkDeadline& operator=(const ParkDeadline&) = delete;

  // Takes all out of the ring and into the wheel; what is open counts from now.
  void arm_all(TimerWheel& timers, std::int64_t now) noexcept;
  void cancel(TimerWheel& timers) noexcept {
    if (next_) [[likely]] {
      previous_->next_ = next_;
      next_->previous_ = previous_;
    } else {
      timers.cancel(timer);
    }
  }

 private:
  ParkDeadline* next_;  // null: out of the ring, and timer lives
  ParkDeadline* previous_;
  Task* task_;
  union {
    Timer timer;
  };
};

}  // namespace greenroom::detail
