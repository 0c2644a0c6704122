#include "greenroom/scheduler/port/poller.h"
#include "greenroom/scheduler/system/futex.h"

namespace greenroom::detail {

void FutexPoller::poll(std::int64_t nanoseconds) {
  if (nanoseconds != 0) futex_wait(port_.sleep_word(), 1U, nanoseconds);
}

}  // namespace greenroom::detail
