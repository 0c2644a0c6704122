#include "greenroom/actors/core/signals.h"

#include <cassert>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/scheduler/hub/interrupt.h"

namespace greenroom::detail {

namespace {

void apply(Hub& hub, const Signal& signal);
void answer_for_the_dead(const Signal& signal);

struct SignalPost final : PostNode {
  explicit SignalPost(const Signal& s) : signal(s) {}
  Signal signal;
};

void destroy(SignalPost* post) {
  post->~SignalPost();
  release_block(post, sizeof(SignalPost));
}

void deliver_signal(Hub& hub, PostNode& node) {
  auto* post = static_cast<SignalPost*>(&node);
  if (ActorHub::of(hub).pids.wait_for_binding(post->signal.to.number, node)) return;
  apply(hub, post->signal);
  destroy(post);
}

// Tells whoever waits for the reply to a message that is not delivered.
void refuse(Message& message, const ExitReason& reason) noexcept {
  if (const auto refuse_it = MessageAccess::type(message).refuse) refuse_it(message, reason);
}

void deliver_message(Hub& hub, PostNode& node) {
  auto& message = static_cast<Message&>(node);
  const std::uint64_t number = MessageAccess::target(message);
  PidTable& pids = ActorHub::of(hub).pids;
  if (Actor* actor = pids.find(number)) {
    place_message(*actor, MessagePointer(&message));
  } else if (!pids.wait_for_binding(number, node)) {
    refuse(message, Reason::noproc);
    MessageAccess::destroy(message);
  }
}

// It stands in run() and cannot end: it is told, and ends the run.
bool is_root_of_run(const Actor& actor) {
  Hub& hub = *actor.task->hub;
  return hub.group() && actor.task == &hub.root();
}

// The decision table of erlang:exit/2 and of links.
void receive_exit(Actor& actor, Pid from, const ExitReason& reason, bool is_link) {
  if (actor.is_exiting()) return;
  if (!is_link && reason.is_just("kill")) {
    if (is_root_of_run(actor))
      return enqueue_signal(actor, make_message(Exit{from, Reason::killed}));
    return accept_exit(actor, Reason::killed);
  }
  if (actor.traps_exits) return enqueue_signal(actor, make_message(Exit{from, reason}));
  if (reason.is_just("normal")) return;
  accept_exit(actor, reason);
}

void receive_link_exit(Actor& actor, const Signal& signal) {
  LinkState* link = actor.extra().links.find(signal.from);
  if (!link || !link->is_active || link->unlinking != 0) return;  // of a link that is no more
  actor.extra().links.erase(signal.from);
  receive_exit(actor, signal.from, signal.reason, true);
}

void receive_unlinked(Actor& actor, const Signal& signal) {
  LinkState* link = actor.extra().links.find(signal.from);
  if (!link || link->unlinking != signal.id) return;
  link->unlinking = 0;
  if (!link->is_active) actor.extra().links.erase(signal.from);
}

void receive_unlink(Actor& actor, const Signal& signal) {
  LinkState* link = actor.extra().links.find(signal.from);
  if (link && link->unlinking == 0) actor.extra().links.erase(signal.from);
  // With an unlink of our own under way the peer sent this one before it saw ours. If we have
  // linked again since, the peer passes over that, too: there is no link on either side.
  if (link && link->unlinking != 0) link->is_active = false;
  send_signal({SignalKind::unlinked, signal.to, signal.from, signal.id});
}

void receive_link(Actor& actor, const Signal& signal) {
  // With an unlink under way the peer linked before it saw that: its next look at us ends the link.
  LinkState& link = actor.extra().links[signal.from];
  if (link.unlinking == 0) link.is_active = true;
}

bool is_watching(SignalKind kind) {
  return kind == SignalKind::link || kind == SignalKind::monitor;
}

void receive_abandon(const Actor& actor) {
  Task& task = *actor.task;
  const bool is_resumable = task.state == TaskState::parked || task.state == TaskState::ready;
  if (actor.is_exiting() && task.fiber && is_resumable) task.hub->abandon(task);
}

void apply(Hub& hub, const Signal& signal) {
  Actor* actor = ActorHub::of(hub).pids.find(signal.to.number);
  if (!actor) return answer_for_the_dead(signal);
  if (actor->is_exiting() && is_watching(signal.kind)) {
    // It is dead to the sender, who sees that only when the names are free and all is destroyed.
    actor->extra().too_late.push_back(signal);
    return;
  }
  switch (signal.kind) {
    case SignalKind::exit:
      return receive_exit(*actor, signal.from, signal.reason, false);
    case SignalKind::link_exit:
      return receive_link_exit(*actor, signal);
    case SignalKind::link:
      return receive_link(*actor, signal);
    case SignalKind::unlink:
      return receive_unlink(*actor, signal);
    case SignalKind::unlinked:
      return receive_unlinked(*actor, signal);
    case SignalKind::monitor:
      actor->extra().watchers[signal.id] = signal.from;
      return;
    case SignalKind::demonitor:
      if (actor->extras) actor->extras->watchers.erase(signal.id);
      return;
    case SignalKind::down:
      // One that was demonitored while the Down was under way gets none.
      // An exiting one gets its own: what unwinds (~Tasks) may wait for the end of others.
      if (!actor->extras || !actor->extras->watching.erase(signal.id)) return;
      enqueue_signal(
          *actor, make_message(Down{MonitorRef(signal.id, signal.to), signal.from, signal.reason}));
      return;
    case SignalKind::abandon:
      return receive_abandon(*actor);
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

const ExitReason mailbox_full("mailbox_full");

Placed refuse_as_full(Message& message) noexcept {
  refuse(message, mailbox_full);
  return Placed::full;
}

bool make_room(Actor& actor) {
  const MessagePointer oldest = actor.mailbox.remove_first_if(
      [](const Message& message) { return MessageAccess::kind(message) != MessageKind::signal; });
  if (oldest) refuse(*oldest, mailbox_full);
  return oldest != nullptr;
}

}  // namespace

void link_to_nobody(Actor& actor) { receive_exit(actor, Pid{}, Reason::noproc, true); }

void send_signal(const Signal& signal) {
  Hub* hub = Hub::current_if_any();
  if (signal.to.node != 0) return;
  if (hub && signal.to.hub == hub->id()) {
    PidTable& pids = ActorHub::of(*hub).pids;
    if (pids.find(signal.to.number)) [[likely]]
      return apply(*hub, signal);
    // Dead, or leased to a spawn that has not arrived: then the signal waits for it.
    auto* waiting = new (allocate_block(sizeof(SignalPost))) SignalPost(signal);
    waiting->deliver = &deliver_signal;
    if (pids.wait_for_binding(signal.to.number, *waiting)) return;
    destroy(waiting);
    return answer_for_the_dead(signal);
  }
  Port* port = Port::at(signal.to.hub);
  if (!signal.to || !port) return answer_for_the_dead(signal);
  auto* post = new (allocate_block(sizeof(SignalPost))) SignalPost(signal);
  post->deliver = &deliver_signal;
  if (port->push(*post)) return;
  destroy(post);
  answer_for_the_dead(signal);
}

Placed place_in_full_mailbox(Actor& actor, Message& owned) noexcept {
  MessagePointer message(&owned);
  ++actor.extras->dead_letters;
  switch (actor.extras->limit.overflow) {
    case Overflow::reject:
    case Overflow::drop_newest:
      return refuse_as_full(*message);
    case Overflow::drop_oldest:
      if (!make_room(actor)) return refuse_as_full(*message);
      break;
    case Overflow::exit:
      accept_exit(actor, ExitReason("mailbox_overflow"));
      return refuse_as_full(*message);
  }
  enqueue(actor, std::move(message));
  return Placed::yes;
}

namespace {

// To nobody that this hub knows: leased to a spawn on its way, dead, or elsewhere.
[[gnu::noinline]] Placed send_elsewhere(Hub* here, Pid to, Message& owned) noexcept {
  MessagePointer message(&owned);
  if (!to || to.node != 0) return Placed::dead;
  MessageAccess::target(*message) = to.number;
  message->deliver = &deliver_message;
  if (here && to.hub == here->id()) {
    if (!ActorHub::of(*here).pids.wait_for_binding(to.number, *message)) return Placed::dead;
  } else {
    Port* port = Port::at(to.hub);
    if (!port || !port->push(*message)) return Placed::dead;
  }
  static_cast<void>(message.release());
  return Placed::yes;
}

}  // namespace

Placed send_owned_message(Pid to, Message& message) noexcept {
  Hub* hub = Hub::current_if_any();
  if (hub) [[likely]] {
    if (Actor* actor = find_actor_here(*hub, to)) [[likely]]
      return place_message(*actor, MessagePointer(&message));
  }
  return send_elsewhere(hub, to, message);
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
