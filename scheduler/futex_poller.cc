#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

#include "greenroom/scheduler/poller.h"
#include "greenroom/scheduler/time.h"

namespace greenroom::detail {

void FutexPoller::poll(std::int64_t nanoseconds) {
  if (nanoseconds == 0) return;
  timespec timeout{};
  if (nanoseconds != no_deadline) {
    timeout.tv_sec = nanoseconds / 1'000'000'000;
    timeout.tv_nsec = nanoseconds % 1'000'000'000;
  }
  ::syscall(SYS_futex, &port_.sleep_word(), FUTEX_WAIT_PRIVATE, 1,
            nanoseconds == no_deadline ? nullptr : &timeout, nullptr, 0);
}

}  // namespace greenroom::detail
