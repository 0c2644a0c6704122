// gevent's world: greenlets, groups and pools, sleeping, timeouts, events, locks. Queues are in
// "greenroom/mailbox/queue.h".
#pragma once

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/greenlet/group.h"
#include "greenroom/scheduler/greenlet/local.h"
#include "greenroom/scheduler/greenlet/pool.h"
#include "greenroom/scheduler/greenlet/results.h"
#include "greenroom/scheduler/greenlet/sleep.h"
#include "greenroom/scheduler/greenlet/timeout.h"
#include "greenroom/scheduler/greenlet/waitable.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/hub/on_stack.h"
#include "greenroom/scheduler/sync/event.h"
#include "greenroom/scheduler/sync/lock.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::green {

using greenroom::Hub;
using greenroom::sleep;
using greenroom::Timeout;
using greenroom::yield;

// The calling thread's hub, made if there is none. As gevent.get_hub.
inline Hub& get_hub() { return Hub::current(); }

}  // namespace greenroom::green
