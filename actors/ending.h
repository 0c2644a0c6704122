// The end of a hub's actors: who is told to end, by run() and by testkit/. For the hub's thread.
#pragma once

#include "greenroom/scheduler/hub.h"

namespace greenroom::detail {

// The stack of the hub's own thread, which a simulated hub has not: nobody starts or ends it.
bool is_own_task(Hub& hub, const Task& task);

// Sends `shutdown`, once, to each actor that no living actor of this hub looks after: the others
// are left to their parents, which may be supervisors. Kills plain greenlets. Spares the current
// task.
void shut_down_all(Hub& hub);
// Kills all but the current task.
void kill_all(Hub& hub);

}  // namespace greenroom::detail
