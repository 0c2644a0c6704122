#include "greenroom/io/poll/task_waiter.h"

#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/task/describe.h"

namespace greenroom::detail {

TaskWaiter::TaskWaiter(Descriptor& descriptor, Direction direction, Task& task,
                       std::int64_t deadline)
    : descriptor_(&descriptor),
      task_(task),
      deadline_(deadline),
      address_(descriptor.address()),
      fd_(descriptor.fd()),
      direction_(direction) {
  descriptor.enter(direction, *this, deadline);
  poller_ = &descriptor.poller();
}

TaskWaiter::~TaskWaiter() {
  if (descriptor_) descriptor_->leave(direction_, *this);
}

ParkResult TaskWaiter::park(const char* reason, std::int64_t deadline) {
  if (end_error_ != 0) throw_io_error(end_error_, reason, address_);
  const Waiting waiting(task_);
  waker_ = waiting.waker();
  const ParkResult result =
      detail::park(reason, deadline, {WaitsFor::Kind::descriptor, static_cast<std::uint64_t>(fd_)});
  if (is_told_) poller_->remove_told();
  is_told_ = false;
  if (result == ParkResult::interrupted) throw_pending();
  if (end_error_ != 0) throw_io_error(end_error_, reason, address_);
  return result;
}

bool TaskWaiter::wait(const char* reason) {
  if (descriptor_) descriptor_->want(direction_);
  return park(reason, deadline_) != ParkResult::expired;
}

void TaskWaiter::pause(const char* reason, std::int64_t until) {
  is_pausing_ = true;
  park(reason, until);
  is_pausing_ = false;
}

bool TaskWaiter::on_ready() noexcept {
  if (is_pausing_) return false;
  if (waker_.wake()) {
    is_told_ = true;
    poller_->add_told();
  }
  return true;
}

void TaskWaiter::on_end(int error) noexcept {
  descriptor_ = nullptr;
  end_error_ = error;
  waker_.wake();
}

std::string TaskWaiter::describe() const { return detail::describe(task_); }

}  // namespace greenroom::detail
