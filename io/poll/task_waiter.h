// A greenlet that is parked on a descriptor.
#pragma once

#include <cstdint>

#include "greenroom/io/poll/parked_waiter.h"

namespace greenroom::detail {

// The current greenlet as a waiter, for the length of an operation. In its frame.
class TaskWaiter final : private ParkedWaiter {
 public:
  // Throws ConcurrentUse. **Blocks.** as Descriptor::settle.
  TaskWaiter(Descriptor& descriptor, Direction direction, Task& task, std::int64_t deadline);

  // Parks until the descriptor may be ready (true) or the deadline comes (false). Throws what is
  // pending, and IoError if the descriptor has ended: then it is gone.
  bool wait(const char* reason);
  // Parks for so many nanoseconds, whether the descriptor is ready or not, and no longer than until
  // the deadline. False: that has come. Throws as wait().
  bool pause(const char* reason, std::int64_t nanoseconds);

 private:
  bool on_ready() noexcept override;
  ParkResult park(const char* reason, std::int64_t deadline);

  Task& task_;
  std::int64_t deadline_;
  Address address_;  // for the message when the descriptor has ended
  int fd_;
  bool is_pausing_ = false;
};

}  // namespace greenroom::detail
