// The end of a hub's actors: who is told to end, by run() and by testkit/. For the hub's thread.
#pragma once

#include <vector>

#include "greenroom/actors/values/pid.h"
#include "greenroom/scheduler/hub/hub.h"

namespace greenroom::detail {

// The stack of the hub's own thread, which a simulated hub has not: nobody starts or ends it.
bool is_own_task(Hub& hub, const Task& task);

// **Blocks.** until the other hubs have answered: those of the parents of this hub's actors that
// live on another one, in order.
std::vector<Pid> living_parents_elsewhere(Hub& hub);
// Sends `shutdown`, once, to each actor that no living actor looks after, of this hub or of those
// given: the others are left to their parents, which may be supervisors. Kills plain greenlets.
// Spares the current task.
void shut_down_all(Hub& hub, const std::vector<Pid>& living_elsewhere);
inline void shut_down_all(Hub& hub) { shut_down_all(hub, {}); }
// Kills all but the current task.
void kill_all(Hub& hub);

}  // namespace greenroom::detail
