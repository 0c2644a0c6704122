// A hub on a thread of its own, for one actor and what it spawns.
#pragma once

#include "greenroom/actors/hubs/placement.h"

namespace greenroom::detail {

// Starts the thread and returns its hub once that can be posted to, with a hold to be kept until
// the first task has arrived there. The hub ends when its last task has; outside of run() it holds
// `here` until then, and itself. Throws what there is against a thread or a hub more.
Home start_own_thread(Hub& here);

}  // namespace greenroom::detail
