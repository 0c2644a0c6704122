// Hubs that meet inside a call: bodies that are run with a hub stopped at each crossing, at those
// that the seed chooses, and with kills besides.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>

#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"
#include "greenroom/tests/sweep/sweep.h"

namespace greenroom::sweep {

// A park that takes every wake for its own, as no primitive does.
[[gnu::noinline]] inline detail::ParkResult trusting_park(std::chrono::nanoseconds duration) {
  detail::enter_blocking_call();
  return detail::park("test", detail::now_nanoseconds() + duration.count());
}

// Nothing that is over wakes this greenlet any more. **Blocks.**
inline void expect_no_late_wake() {
  const detail::ParkResult result = trusting_park(std::chrono::microseconds(1));
  if (result == detail::ParkResult::interrupted) detail::throw_pending();
  EXPECT_NE(result, detail::ParkResult::woken) << "a wake that was for an earlier park";
}

// The same when its greenlet is left, also by a kill.
struct NoLateWakeAtEnd {
  NoLateWakeAtEnd() = default;
  ~NoLateWakeAtEnd() {
    const Uncancellable in_a_destructor;
    expect_no_late_wake();
  }
  NoLateWakeAtEnd(const NoLateWakeAtEnd&) = delete;
  NoLateWakeAtEnd& operator=(const NoLateWakeAtEnd&) = delete;
};

struct CrossingSweep {
  int everywhere = 20;   // seeds for a stop at each crossing
  int by_seed = 2000;    // seeds that choose the crossings
  int with_kills = 200;  // seeds for a kill everywhere, with crossings that they choose
  int hubs = 2;
};

// Stops at the first failure, whose seed simulate() has printed.
inline void cross(const CrossingSweep& sweep, const std::function<void()>& body) {
  set_crash_logger([](const CrashReport&) {});
  int crossed = 0;
  int kills = 0;
  const auto simulation = [&](int seed) {
    return testkit::Simulation{
        .seed = static_cast<std::uint64_t>(seed), .hubs = sweep.hubs, .max_steps = 50'000};
  };
  const auto goes_on = [](int seed, int seeds) {
    return seed < testkit::scale(seeds) && !testing::Test::HasFailure();
  };
  for (int seed = 0; goes_on(seed, sweep.everywhere); ++seed)
    crossed += testkit::cross_everywhere(simulation(seed), body);
  for (int seed = 0; goes_on(seed, sweep.by_seed); ++seed)
    crossed += testkit::simulate(simulation(seed), body).crossed;
  for (int seed = 0; goes_on(seed, sweep.with_kills); ++seed)
    kills += testkit::kill_everywhere(simulation(seed), body);
  set_crash_logger({});
  EXPECT_GT(crossed, 0);
  testing::Test::RecordProperty("crossed", crossed);
  testing::Test::RecordProperty("kills", kills);
}
inline void cross(const std::function<void()>& body) { cross({}, body); }

}  // namespace greenroom::sweep
