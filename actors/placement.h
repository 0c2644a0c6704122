// Which hub a new actor goes to. The hubs of a run() or a simulation are listed here while it runs;
// an actor stays among those of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "greenroom/actors/options.h"
#include "greenroom/scheduler/hub.h"

namespace greenroom::detail {

// A hub that takes part in placement, after it has joined its group, and until it leaves it.
void list_hub(Hub& hub);
void unlist_hub(Hub& hub);

// Never null. own_thread starts a thread, whose hub waits for its first actor as long as `hold` is
// kept.
Hub* choose_hub(Placement placement, Hub& here, Hold& hold);

// The ports of the hubs that belong together with this one: of a simulation its own hubs, elsewhere
// all of the process that are in no simulation. Some may have ended.
std::vector<std::uint32_t> ports_beside(const Hub& here);

// Runs f on the hub that listens on `port`, as hub work; false if it has ended. Any thread.
bool post_to_port(std::uint32_t port, std::function<void(Hub&)> f);

}  // namespace greenroom::detail
