// Everything of actors: spawn, send, receive, link, monitor, names, timers, servers, supervisors,
// run.
#pragma once

#include <stdexcept>

#include "greenroom/actors/call_error.h"
#include "greenroom/actors/crash_report.h"
#include "greenroom/actors/exit_reason.h"
#include "greenroom/actors/info.h"
#include "greenroom/actors/outcome.h"
#include "greenroom/actors/pid.h"
#include "greenroom/actors/registry.h"
#include "greenroom/actors/run.h"
#include "greenroom/actors/server.h"
#include "greenroom/actors/signals.h"
#include "greenroom/actors/spawn.h"
#include "greenroom/actors/supervisor.h"
#include "greenroom/actors/tasks.h"
#include "greenroom/actors/tcp_actors.h"
#include "greenroom/actors/timers.h"
#include "greenroom/actors/verbs.h"
#include "greenroom/mailbox/message.h"
#include "greenroom/mailbox/receive.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/offload.h"

namespace greenroom {

template <class T>
Pid green::Greenlet<T>::pid() const {
  if (ready()) throw std::logic_error("greenroom: Greenlet::pid() of a greenlet that has ended");
  return detail::pid_of_greenlet(detail::task_behind(task()));
}

}  // namespace greenroom
