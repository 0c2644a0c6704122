// What a strategy does: a pure function from the child that ended to the range of children to be
// ended and started again.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "greenroom/actors/supervisor/supervisor.h"

namespace greenroom::detail {

// Children [first, last) in start order.
struct RestartPlan {
  std::size_t first;
  std::size_t last;
};

constexpr RestartPlan restart_plan(Strategy strategy, std::size_t failed, std::size_t count) {
  switch (strategy) {
    case Strategy::one_for_one:
      return {failed, failed + 1};
    case Strategy::rest_for_one:
      return {failed, count};
    case Strategy::one_for_all:
      return {0, count};
  }
  return {failed, failed + 1};
}

// Counts restarts: no more than `intensity` within one period are borne. Each costs O(1) on
// average, whatever the intensity; what is kept are the restarts of one period.
class RestartIntensity {
 public:
  RestartIntensity(int intensity, std::chrono::nanoseconds period)
      : limit_(static_cast<std::size_t>(intensity)), period_(period.count()) {}

  // Records one at `now`; false: one too many. An earlier one exactly a period old still counts.
  bool admit(std::int64_t now) {
    while (!times_.empty() && now - times_.front() > period_) times_.pop_front();
    if (times_.size() >= limit_) return false;
    times_.push_back(now);
    return true;
  }
  std::size_t recorded() const { return times_.size(); }

 private:
  std::deque<std::int64_t> times_;
  std::size_t limit_;
  std::int64_t period_;
};

}  // namespace greenroom::detail
