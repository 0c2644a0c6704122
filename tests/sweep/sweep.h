// Kills everywhere, over seeds and numbers of hubs. One body, hundreds of runs.
//
// The body is the observer: it is not killed, starts those who may be, waits for their ends, and
// then checks that nothing is lost. What a run leaves behind is an error of its own.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom::sweep {

// Runs it and expects that somebody was killed at all. Stops at the first failure, whose seed,
// point and victim simulate() has printed.
inline void sweep(int seeds, const std::vector<int>& hubs, const std::function<void()>& body) {
  set_crash_logger([](const CrashReport&) {});
  int kills = 0;
  for (const int count : hubs) {
    for (int seed = 0; seed < testkit::scale(seeds); ++seed) {
      kills += testkit::kill_everywhere(
          {.seed = static_cast<std::uint64_t>(seed), .hubs = count, .max_steps = 50'000}, body);
      if (testing::Test::HasFailure()) break;
    }
  }
  set_crash_logger({});
  EXPECT_GT(kills, 0);
  testing::Test::RecordProperty("kills", kills);
}

// Waits until all of them have ended, however.
inline void join(const std::vector<Monitored>& actors) {
  for (const Monitored& actor : actors)
    receive(when([&](const Down& down) { return down.ref == actor.ref; }, [](const Down&) {}));
}

inline SpawnOptions anywhere() { return {.place = Placement::next_hub}; }

}  // namespace greenroom::sweep
