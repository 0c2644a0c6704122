// Which hub a new actor goes to. The hubs of a run() or a simulation are listed here while it runs;
// an actor stays among those of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "greenroom/actors/values/options.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/system/crossing.h"

namespace greenroom::detail {

// A hub that takes part in placement, after it has joined its group, and until it leaves it.
void list_hub(Hub& hub);
void unlist_hub(Hub& hub);

// Where a new actor goes. The hub does not end while this is kept: one of several is not unlisted,
// and one with a new thread waits for its first actor.
struct Home {
  Hub* hub = nullptr;
  std::unique_lock<SharedMutex> is_listed = {};
  Hold hold = {};
};
// own_thread starts a thread; throws std::system_error or std::runtime_error if there can be none.
Home choose_hub(Placement placement, Hub& here);

// The ports of the hubs that belong together with this one: of a simulation its own hubs, elsewhere
// all of the process that are in no simulation. Some may have ended.
std::vector<std::uint32_t> ports_beside(const Hub& here);

// Runs f on the hub that listens on `port`, as hub work; false if it has ended. Any thread.
bool post_to_port(std::uint32_t port, std::function<void(Hub&)> f);

}  // namespace greenroom::detail
