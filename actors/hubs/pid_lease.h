// Numbers that other hubs have set aside for the actors that this one spawns there. For the hub's
// thread only.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "greenroom/actors/core/actor_hub.h"

namespace greenroom::detail {

struct PidLeases final : HubPart {
  struct Lease {
    std::uint64_t incarnation = 0;  // of the hub that set the numbers aside
    std::vector<std::uint64_t> numbers;
    bool is_asked = false;  // for more
  };
  std::unordered_map<std::uint32_t, Lease> by_hub;
  // Of a hub that has some.
  static PidLeases& of(Hub& hub) { return static_cast<PidLeases&>(*ActorHub::of(hub).leases); }
};

// For an actor that is spawned `here` and will live on `home`, another hub.
std::uint64_t leased_number(Hub& here, Hub& home);
// It did not come to the spawn.
void return_leased_number(Hub& here, Hub& home, std::uint64_t number);

}  // namespace greenroom::detail
