// A greenlet that is parked on a descriptor.
#pragma once

#include <cstdint>
#include <string>

#include "greenroom/io/poll/descriptor.h"

namespace greenroom::detail {

// The current greenlet as a waiter, for the length of an operation. In its frame.
class TaskWaiter final : public Waiter {
 public:
  // Throws ConcurrentUse. **Blocks.** as Descriptor::settle.
  TaskWaiter(Descriptor& descriptor, Direction direction, Task& task, std::int64_t deadline);
  ~TaskWaiter();
  TaskWaiter(const TaskWaiter&) = delete;
  TaskWaiter& operator=(const TaskWaiter&) = delete;

  // Parks until the descriptor may be ready (true) or the deadline comes (false). Throws what is
  // pending, and IoError if the descriptor has ended: then it is gone.
  bool wait(const char* reason);
  // The same, whether the descriptor is ready or not, until this deadline.
  void pause(const char* reason, std::int64_t until);

  bool on_ready() noexcept override;
  void on_end(int error) noexcept override;
  std::string describe() const override;

 private:
  ParkResult park(const char* reason, std::int64_t deadline);

  Descriptor* descriptor_;  // null once it has ended
  Task& task_;
  FdPoller* poller_;
  std::int64_t deadline_;
  Waker waker_;      // of its latest park
  Address address_;  // for the message when the descriptor has ended
  int fd_;
  int end_error_ = 0;
  Direction direction_;
  bool is_told_ = false;
  bool is_pausing_ = false;
};

}  // namespace greenroom::detail
