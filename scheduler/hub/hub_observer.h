// HubObserver: who looks at the hubs from outside (the stall watch). The hub knows it by this table
// alone, so that it does not depend on those who depend on it.
#pragma once

#include <string>

namespace greenroom {
class Hub;
}

namespace greenroom::detail {

// One table for the process, for as long as it lives.
struct HubObserver {
  // On the hub's thread, which runs it from now on.
  void (*made)(Hub& hub);
  // On its thread: it ends, or is left behind, and is not to be looked at any more.
  void (*ended)(Hub& hub) noexcept;
  // On a hub's thread, which has woken up or does its housekeeping: once in 256 slices at least, so
  // this is to be quick.
  void (*turn)() noexcept;
  // What waits on the hub, for the report that it would wait for ever.
  std::string (*list)(Hub& hub);
};

// Null: nobody looks. Set before any hub is made.
extern constinit const HubObserver* hub_observer;

}  // namespace greenroom::detail
