// What a simulation is told to do.
#pragma once

#include <cstdint>

namespace greenroom::testkit {

// When a kill reaches its victim.
enum class KillMoment : std::uint8_t {
  parking,   // as soon as it is suspended
  resuming,  // when it has been woken, and so perhaps been given something, but has not run yet
};

// Which of a hub's ready tasks goes on.
enum class Order : std::uint8_t {
  seeded,  // one that the seed chooses: what nobody promises, a test must not rely on
  fifo,    // the one that has been ready longest, as on a real hub: what gevent promises of one hub
};

// Besides what a simulation chooses from one suspension to the next: with several hubs, one may be
// stopped in the middle of a call, at a *crossing*, where another hub's thread could act at that
// moment: before or after it takes or gives back a lock that hubs share, sends to another hub, or
// reads what another hub writes. Then others go on first, and more than one may be in the middle at
// a time. The clock stands still meanwhile. A std::mutex that a test holds over such a call would
// be waited for by the thread that has it: hold none there.
struct Simulation {
  std::uint64_t seed = 0;  // the environment variable GREENROOM_SEED overrides it
  int hubs = 1;            // simulated threads that actors are placed on
  int kill_at = -1;        // kills the task that comes to this suspension point; -1: none
  KillMoment kill_moment = KillMoment::parking;
  std::uint64_t max_steps = 2'000'000;  // a step runs one task from one suspension to the next
  // The hub that comes to this crossing is stopped there until the others have nothing to do, or
  // have done as many steps as the seed chooses; -1: crossings are chosen by the seed.
  int cross_at = -1;
  // With fifo all that has come to a hub's inbox arrives at once, too. Which hub goes on, what the
  // network does and crossings remain the seed's.
  Order order = Order::seeded;
};

}  // namespace greenroom::testkit
