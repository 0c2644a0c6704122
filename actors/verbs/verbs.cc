#include "greenroom/actors/verbs/verbs.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/exit_rules.h"
#include "greenroom/actors/hubs/ask_hub.h"
#include "greenroom/actors/hubs/placement.h"
#include "greenroom/scheduler/hub/interrupt.h"

namespace greenroom {

using detail::Actor;
using detail::ActorHub;
using detail::LinkState;
using detail::SignalKind;

Pid self() { return detail::current_actor().pid(); }

Pid detail::pid_of_name(std::string_view name) {
  const std::optional<Pid> pid = whereis(name);
  if (!pid) throw NoSuchName(name);
  return *pid;
}

void stop(ExitReason reason) {
  detail::tell_if_thread(detail::current_actor(), reason);
  throw ActorExit(reason.share());
}

void exit(Pid to, ExitReason reason) {
  Actor& me = detail::current_actor();
  const bool is_self = to == me.pid();
  detail::send_signal({SignalKind::exit, me.pid(), to, 0, std::move(reason)});
  if (is_self) detail::throw_pending();
}

void link(Pid peer) {
  Actor& me = detail::current_actor();
  if (peer == me.pid()) return;
  if (!peer) return detail::link_to_nobody(me);  // no key of a map
  if (LinkState* link = me.extra().links.find(peer)) {
    if (link->is_active()) return;
    link->link_again();
  } else {
    me.extra().links[peer] = LinkState();
  }
  detail::send_signal({SignalKind::link, me.pid(), peer});
}

void unlink(Pid peer) {
  Actor& me = detail::current_actor();
  LinkState* link = me.extra().links.find(peer);
  if (!link || !link->is_active()) return;
  const std::uint64_t number = detail::new_reference(ActorHub::of(*me.task->hub));
  link->unlink(number);
  detail::send_signal({SignalKind::unlink, me.pid(), peer, number});
}

MonitorRef monitor(Pid target) {
  Actor& me = detail::current_actor();
  const std::uint64_t number = detail::new_reference(ActorHub::of(*me.task->hub));
  // Nobody sees its own end: a reference, and no monitor, as in Erlang.
  if (target == me.pid()) return MonitorRef(number, target);
  me.extra().watching[number] = target;
  detail::send_signal({SignalKind::monitor, me.pid(), target, number});
  return MonitorRef(number, me.pid());
}

MonitorRef monitor(std::string_view name) {
  // Nobody is as good as a dead actor: the Down comes at once.
  return monitor(whereis(name).value_or(Pid{}));
}

bool demonitor(MonitorRef ref) {
  Actor& me = detail::current_actor();
  if (!ref) return false;
  if (ref.owner() != me.pid()) {
    throw std::logic_error("demonitor: the reference belongs to " + ref.owner().to_string() +
                           "; only the actor that made it may");
  }
  if (const Pid* target = me.extra().watching.find(ref.number())) {
    const Pid to = *target;
    me.extra().watching.erase(ref.number());
    detail::send_signal({SignalKind::demonitor, me.pid(), to, ref.number()});
    return true;
  }
  me.mailbox.remove_first_if(
      [&](Message& message) { return message.is<Down>() && message.as<Down>().ref == ref; });
  return false;
}

bool trap_exits(bool on) { return std::exchange(detail::current_actor().traps_exits, on); }

void register_name(std::string_view name, Pid pid) {
  if (name.empty()) throw BadName("register_name: the name is empty");
  const std::string text(name);
  enum class Answer { done, taken, dead };
  const auto answer = detail::ask_hub<Answer>(pid.hub, [text, pid](Hub& hub) {
    Actor* actor = ActorHub::of(hub).pids.find(pid.number);
    if (!actor || actor->is_exiting()) return Answer::dead;
    if (!detail::claim_name(text, pid)) return Answer::taken;
    actor->extra().names.push_back(text);
    return Answer::done;
  });
  if (!answer || *answer == Answer::dead) {
    throw BadName("register_name: " + pid.to_string() +
                  " is not alive and cannot be registered as '" + text + "'");
  }
  if (*answer == Answer::taken)
    throw BadName("register_name: '" + text + "' is taken; unregister_name it first");
}

void unregister_name(std::string_view name) {
  const std::optional<Pid> pid = whereis(name);
  if (!pid || !detail::free_name(name, *pid)) {
    throw BadName("unregister_name: nobody is registered as '" + std::string(name) + "'");
  }
  const auto forget = [number = pid->number, text = std::string(name)](Hub& hub) {
    Actor* actor = ActorHub::of(hub).pids.find(number);
    if (!actor || !actor->extras) return;
    // One entry: the actor may have got the name again meanwhile.
    auto& names = actor->extras->names;
    const auto found = std::find(names.begin(), names.end(), text);
    if (found != names.end()) names.erase(found);
  };
  Hub& here = Hub::current();
  if (pid->hub == here.id()) return forget(here);
  detail::post_to_port(pid->hub, forget);
}

bool is_alive(Pid pid) {
  if (!pid || pid.node != 0) return false;
  const auto answer = detail::ask_hub<bool>(pid.hub, [pid](Hub& hub) {
    Actor* actor = ActorHub::of(hub).pids.find(pid.number);
    if (actor && actor->is_exiting())
      detail::free_names(*actor);  // whoever is told that it is dead may take them
    return actor && !actor->is_exiting();
  });
  return answer.value_or(false);
}

}  // namespace greenroom
