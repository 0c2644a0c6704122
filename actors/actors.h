// Everything of actors: spawn, send, receive, link, monitor, names, timers, servers, supervisors,
// run.
#pragma once

#include <stdexcept>

#include "greenroom/actors/core/crash_report.h"
#include "greenroom/actors/core/signals.h"
#include "greenroom/actors/names/registry.h"
#include "greenroom/actors/run/run.h"
#include "greenroom/actors/server/server.h"
#include "greenroom/actors/supervisor/supervisor.h"
#include "greenroom/actors/tcp/tcp_actors.h"
#include "greenroom/actors/values/call_error.h"
#include "greenroom/actors/values/exit_reason.h"
#include "greenroom/actors/values/outcome.h"
#include "greenroom/actors/values/pid.h"
#include "greenroom/actors/verbs/info.h"
#include "greenroom/actors/verbs/spawn.h"
#include "greenroom/actors/verbs/tasks.h"
#include "greenroom/actors/verbs/timers.h"
#include "greenroom/actors/verbs/verbs.h"
#include "greenroom/mailbox/message.h"
#include "greenroom/mailbox/receive.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/greenlet/offload.h"

namespace greenroom {

template <class T>
Pid green::Greenlet<T>::pid() const {
  if (ready()) throw std::logic_error("greenroom: Greenlet::pid() of a greenlet that has ended");
  return detail::pid_of_greenlet(detail::task_behind(task()));
}

}  // namespace greenroom
