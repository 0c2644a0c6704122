#include "greenroom/scheduler/time/time.h"

#include <ctime>

namespace greenroom::detail {

namespace {

constinit thread_local TimeTeller time_teller = nullptr;

}  // namespace

std::int64_t kernel_now() noexcept {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::int64_t now_nanoseconds() noexcept { return time_teller ? time_teller() : kernel_now(); }

void set_time_teller(TimeTeller teller) noexcept { time_teller = teller; }

}  // namespace greenroom::detail
