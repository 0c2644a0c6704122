// gevent's world: greenlets, groups and pools, sleeping, timeouts, events, locks. Queues are in
// "greenroom/mailbox/queue.h".
#pragma once

#include "greenroom/scheduler/event.h"
#include "greenroom/scheduler/greenlet.h"
#include "greenroom/scheduler/group.h"
#include "greenroom/scheduler/hub.h"
#include "greenroom/scheduler/interrupt.h"
#include "greenroom/scheduler/local.h"
#include "greenroom/scheduler/lock.h"
#include "greenroom/scheduler/on_stack.h"
#include "greenroom/scheduler/pool.h"
#include "greenroom/scheduler/results.h"
#include "greenroom/scheduler/sleep.h"
#include "greenroom/scheduler/time.h"
#include "greenroom/scheduler/timeout.h"
#include "greenroom/scheduler/waitable.h"

namespace greenroom::green {

using greenroom::Hub;
using greenroom::sleep;
using greenroom::Timeout;
using greenroom::yield;

// The calling thread's hub, made if there is none. As gevent.get_hub.
inline Hub& get_hub() { return Hub::current(); }

}  // namespace greenroom::green
