#include "greenroom/io/poll/task_waiter.h"

#include <algorithm>

#include "greenroom/io/socket/io_error.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/hub/park.h"

namespace greenroom::detail {

TaskWaiter::TaskWaiter(Descriptor& descriptor, Direction direction, Task& task,
                       std::int64_t deadline)
    : task_(task), deadline_(deadline), address_(descriptor.address()), fd_(descriptor.fd()) {
  enter(descriptor, direction, deadline);
}

ParkResult TaskWaiter::park(const char* reason, std::int64_t deadline) {
  if (end_error() != 0) throw_io_error(end_error(), reason, address_);
  const Waiting waiting(task_);
  set_waker(waiting.waker());
  const ParkResult result =
      detail::park(reason, deadline, {WaitsFor::Kind::descriptor, static_cast<std::uint64_t>(fd_)});
  take_told_back();
  if (result == ParkResult::interrupted) throw_pending();
  if (end_error() != 0) throw_io_error(end_error(), reason, address_);
  return result;
}

bool TaskWaiter::wait(const char* reason) {
  want();
  return park(reason, deadline_) != ParkResult::expired;
}

bool TaskWaiter::pause(const char* reason, std::int64_t nanoseconds) {
  is_pausing_ = true;
  park(reason, std::min(deadline_, add_saturated(now_nanoseconds(), nanoseconds)));
  is_pausing_ = false;
  return now_nanoseconds() < deadline_;
}

bool TaskWaiter::on_ready() noexcept { return !is_pausing_ && ParkedWaiter::on_ready(); }

}  // namespace greenroom::detail
