// The timer wheel against a multimap, by random programs.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include "greenroom/scheduler/time/timer_wheel.h"

namespace greenroom::detail {
namespace {

constexpr std::int64_t never = TimerWheel::no_deadline;

class Model {
 public:
  explicit Model(std::uint64_t seed) : random_(seed), timers_(300) {
    for (auto& timer : timers_) {
      timer.model = this;
      timer.fire = [](TimerNode& node) noexcept {
        auto& fired = static_cast<Timer&>(node);
        fired.model->on_fire(fired);
      };
    }
  }

  void run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFailure(); ++step) {
      operate();
      if (chance(4)) advance();
      check_next_deadline();
      ASSERT_EQ(wheel_.size(), pending_.size());
    }
    while (!wheel_.empty() && !::testing::Test::HasFailure()) {
      is_draining_ = true;
      fire(wheel_.next_deadline());
    }
  }

 private:
  struct Timer;
  using Pending = std::multimap<std::int64_t, Timer*>;  // equal keys: in order of insertion
  struct Timer : TimerNode {
    Model* model = nullptr;
    Pending::iterator place;
  };

  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  bool chance(std::uint64_t one_in) { return below(one_in) == 0; }
  Timer& any() { return timers_[below(timers_.size())]; }

  // Of all magnitudes, and often one that others have too.
  std::int64_t deadline() {
    if (chance(20)) return static_cast<std::int64_t>(below(100)) - 50;
    if (chance(200)) return never - 1 - static_cast<std::int64_t>(below(2));
    std::int64_t distance = static_cast<std::int64_t>(random_() >> (20 + below(44)));
    if (chance(2)) distance &= ~std::int64_t{4095};
    return std::min(now_, never / 2) + distance;
  }

  void arm(Timer& timer) {
    const std::int64_t at = deadline();
    wheel_.arm(timer, at);
    timer.place = pending_.emplace(at, &timer);
  }

  void cancel(Timer& timer) {
    if (timer.is_armed()) (is_firing(timer) ? firing_ : pending_).erase(timer.place);
    wheel_.cancel(timer);
  }

  bool is_firing(const Timer& timer) const {
    return std::any_of(firing_.begin(), firing_.end(),
                       [&](const auto& entry) { return entry.second == &timer; });
  }

  void operate() {
    Timer& timer = any();
    cancel(timer);
    if (!chance(3)) arm(timer);
  }

  void advance() {
    const std::uint64_t kind = below(10);
    std::int64_t to = std::min(now_, never - 1 - (std::int64_t{1} << 45));
    if (kind < 3) {
      to += static_cast<std::int64_t>(below(100));
    } else if (kind < 7) {
      to += static_cast<std::int64_t>(random_() >> (20 + below(44)));
    } else if (kind < 9) {
      to = std::max(now_, wheel_.next_deadline() == never ? now_ : wheel_.next_deadline());
    } else {
      to -= static_cast<std::int64_t>(below(10));  // the clock does not really step back
    }
    fire(to);
  }

  void fire(std::int64_t to) {
    now_ = std::max(now_, to);
    while (!pending_.empty() && pending_.begin()->first <= now_) {
      Timer* timer = pending_.begin()->second;
      pending_.erase(pending_.begin());
      timer->place = firing_.emplace(timer->deadline, timer);
    }
    fired_ = 0;
    const std::size_t fired = wheel_.fire_due(to);
    EXPECT_TRUE(firing_.empty());
    EXPECT_EQ(fired, fired_);
  }

  void on_fire(Timer& timer) {
    ++fired_;
    ASSERT_FALSE(firing_.empty());
    ASSERT_EQ(firing_.begin()->second, &timer);
    ASSERT_FALSE(timer.is_armed());
    firing_.erase(firing_.begin());
    if (is_draining_) return;
    if (chance(3)) arm(timer);
    if (chance(3)) operate();
    if (!firing_.empty() && chance(5)) cancel(*firing_.rbegin()->second);
    if (!firing_.empty() && chance(5)) cancel(*firing_.begin()->second);
    if (!firing_.empty()) {
      EXPECT_LE(wheel_.next_deadline(), firing_.begin()->first);
    }
  }

  void check_next_deadline() {
    const std::int64_t expected = pending_.empty() ? never : pending_.begin()->first;
    if (pending_.size() <= static_cast<std::size_t>(TimerWheel::scan_limit)) {
      ASSERT_EQ(wheel_.next_deadline(), expected);
    } else if (chance(2)) {
      ASSERT_LE(wheel_.next_deadline(), expected);
    }
  }

  std::mt19937_64 random_;
  std::int64_t now_ = static_cast<std::int64_t>(random_() >> (1 + below(50)));
  std::vector<Timer> timers_;
  TimerWheel wheel_{now_};
  Pending pending_;
  Pending firing_;
  std::size_t fired_ = 0;
  bool is_draining_ = false;
};

class TimerWheelModel : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(TimerWheelModel, AgreesWithAMultimap) {
  for (std::uint64_t round = 0; round < 20; ++round) Model(GetParam() * 1000 + round).run(3000);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TimerWheelModel, ::testing::Range<std::uint64_t>(1, 9));

}  // namespace
}  // namespace greenroom::detail
