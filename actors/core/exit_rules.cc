#include "greenroom/actors/core/exit_rules.h"

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/delivery.h"
#include "greenroom/scheduler/hub/interrupt.h"

namespace greenroom::detail {

namespace {

// It stands in run() and cannot end: it is told, and ends the run.
bool is_root_of_run(const Actor& actor) {
  Hub& hub = *actor.task->hub;
  return hub.group() && actor.task == &hub.root();
}

// The decision table of erlang:exit/2 and of links; `kind` is exit or link_exit.
void receive_exit(Actor& actor, Pid from, const ExitReason& reason, SignalKind kind) {
  if (actor.is_exiting()) return;
  if (kind == SignalKind::exit && reason.is_just("kill")) {
    if (is_root_of_run(actor))
      return enqueue_signal(actor, make_message(Exit{from, Reason::killed}));
    return accept_exit(actor, Reason::killed);
  }
  if (actor.traps_exits) return enqueue_signal(actor, make_message(Exit{from, reason}));
  if (reason.is_just("normal")) return;
  accept_exit(actor, reason);
}

void receive_link_exit(Actor& actor, const Signal& signal) {
  const LinkState* link = actor.extra().links.find(signal.from);
  if (!link || !link->is_settled()) return;  // of a link that is no more
  actor.extra().links.erase(signal.from);
  receive_exit(actor, signal.from, signal.reason, SignalKind::link_exit);
}

void receive_unlinked(Actor& actor, const Signal& signal) {
  LinkState* link = actor.extra().links.find(signal.from);
  if (!link || !link->awaits(signal.id)) return;
  if (link->is_active()) {
    link->settle();
  } else {
    actor.extra().links.erase(signal.from);
  }
}

void receive_unlink(Actor& actor, const Signal& signal) {
  LinkState* link = actor.extra().links.find(signal.from);
  if (link && link->is_settled()) {
    actor.extra().links.erase(signal.from);
  } else if (link) {
    // The peer sent this one before it saw our unlink. If we have linked again since, the peer
    // passes over that, too: there is no link on either side.
    link->end_by_peer();
  }
  send_signal({SignalKind::unlinked, signal.to, signal.from, signal.id});
}

// With an unlink under way nothing changes: the peer linked before it saw that, and its next look
// at us ends the link.
void receive_link(Actor& actor, const Signal& signal) {
  OrderedMap<Pid, LinkState>& links = actor.extra().links;
  if (!links.find(signal.from)) links[signal.from] = LinkState();
}

bool is_watching(SignalKind kind) {
  return kind == SignalKind::link || kind == SignalKind::monitor;
}

void receive_abandon(const Actor& actor) {
  Task& task = *actor.task;
  const bool is_resumable = task.state == TaskState::parked || task.state == TaskState::ready;
  if (actor.is_exiting() && task.fiber && is_resumable) task.hub->abandon(task);
}

}  // namespace

void receive_signal(Actor& actor, const Signal& signal) {
  if (actor.is_exiting() && is_watching(signal.kind)) {
    // It is dead to the sender, who sees that only when the names are free and all is destroyed.
    actor.extra().too_late.push_back(signal);
    return;
  }
  switch (signal.kind) {
    case SignalKind::exit:
      return receive_exit(actor, signal.from, signal.reason, SignalKind::exit);
    case SignalKind::link_exit:
      return receive_link_exit(actor, signal);
    case SignalKind::link:
      return receive_link(actor, signal);
    case SignalKind::unlink:
      return receive_unlink(actor, signal);
    case SignalKind::unlinked:
      return receive_unlinked(actor, signal);
    case SignalKind::monitor:
      actor.extra().watchers[signal.id] = signal.from;
      return;
    case SignalKind::demonitor:
      if (actor.extras) actor.extras->watchers.erase(signal.id);
      return;
    case SignalKind::down:
      // One that was demonitored while the Down was under way gets none.
      // An exiting one gets its own: what unwinds (~Tasks) may wait for the end of others.
      if (!actor.extras || !actor.extras->watching.erase(signal.id)) return;
      enqueue_signal(
          actor, make_message(Down{MonitorRef(signal.id, signal.to), signal.from, signal.reason}));
      return;
    case SignalKind::abandon:
      return receive_abandon(actor);
  }
}

void answer_for_the_dead(const Signal& signal) {
  switch (signal.kind) {
    case SignalKind::link:
      return send_signal({SignalKind::link_exit, signal.to, signal.from, 0, Reason::noproc});
    case SignalKind::monitor:
      return send_signal({SignalKind::down, signal.to, signal.from, signal.id, Reason::noproc});
    case SignalKind::unlink:
      return send_signal({SignalKind::unlinked, signal.to, signal.from, signal.id});
    default:
      return;
  }
}

void link_to_nobody(Actor& actor) {
  receive_exit(actor, Pid{}, Reason::noproc, SignalKind::link_exit);
}

void accept_exit(Actor& actor, const ExitReason& reason) {
  if (actor.is_exiting()) return;
  actor.extra().exit_reason = reason.share();
  Task& task = *actor.task;
  task.attention |= attention::exiting;
  if (task.state == TaskState::idle) {
    task.hub->activate(task);
  } else {
    interrupt_park(task);
  }
}

}  // namespace greenroom::detail
