// A waiter behind which a task is parked: what an operation (TaskWaiter) and a clause of receive()
// (LineClause) have in common.
//
// In the frame of the task, for its hub only. Between its wake and the task's turn the poller
// counts it as told, and a busy hub does not poll. Invariant: it is told at most once before the
// task looks, and takes that back then, or when it leaves.
#pragma once

#include <cstdint>
#include <string>

#include "greenroom/io/poll/descriptor.h"
#include "greenroom/scheduler/task/waker.h"

namespace greenroom::detail {

class ParkedWaiter : public Waiter {
 public:
  ParkedWaiter(const ParkedWaiter&) = delete;
  ParkedWaiter& operator=(const ParkedWaiter&) = delete;

 protected:
  ParkedWaiter() = default;
  ~ParkedWaiter() { leave(); }

  // Onto the descriptor. Throws ConcurrentUse. **Blocks.** as Descriptor::settle.
  void enter(Descriptor& descriptor, Direction direction, std::int64_t deadline = no_deadline);
  // Off the descriptor, unless that has ended. The task has looked, or looks at it no more.
  void leave() noexcept;

  // The waker of the park that comes next.
  void set_waker(Waker waker) noexcept { waker_ = waker; }
  // The park ends when the descriptor may be ready.
  void want() noexcept {
    if (descriptor_) descriptor_->want(direction_);
  }
  // The park is over, and the task looks at the descriptor now.
  void take_told_back() noexcept;

  // Why the descriptor has ended, as an errno; 0 while it has not.
  int end_error() const { return end_error_; }

  bool on_ready() noexcept override;
  void on_end(int error) noexcept override;
  std::string describe() const override;

 private:
  Descriptor* descriptor_ = nullptr;  // while it is on one
  FdPoller* poller_ = nullptr;
  Waker waker_;  // of the latest park
  int end_error_ = 0;
  Direction direction_ = Direction::read;
  bool is_told_ = false;
};

}  // namespace greenroom::detail
