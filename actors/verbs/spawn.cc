#include "greenroom/actors/verbs/spawn.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/delivery.h"
#include "greenroom/actors/hubs/pid_lease.h"
#include "greenroom/actors/hubs/placement.h"
#include "greenroom/actors/names/registry.h"
#include "greenroom/actors/verbs/verbs.h"
#include "greenroom/scheduler/fiber/stack.h"

namespace greenroom::detail {

namespace {

// An actor on its way to its hub.
struct ArrivalPost final : PostNode {
  ActorTask* task = nullptr;
  Hold hold;  // its hub may have nothing else to wait for
};

void arrive(Hub& hub, PostNode& node) {
  const std::unique_ptr<ArrivalPost> post(static_cast<ArrivalPost*>(&node));
  ActorTask& task = *post->task;
  PostNode* waiting = ActorHub::of(hub).pids.bind_leased(task.actor.number, task.actor);
  hub.adopt(task);
  if (!hub.is_ending()) hub.start(task);
  while (waiting) {
    PostNode* next = waiting->next;
    waiting->deliver(hub, *waiting);
    waiting = next;
  }
  if (hub.is_ending()) {  // too late: nothing runs here any more
    task.ops->abandoned(task);
    hub.retire(task);
  }
}

}  // namespace

Pid start_actor(ActorTask& task) {
  Hub& here = Hub::current();
  Actor& actor = task.actor;
  const Task* spawner = here.current_task();
  if (spawner && spawner->extension) {
    actor.parent = {0, here.id(), static_cast<const Actor&>(*spawner->extension).number};
  }
  actor.number = ActorHub::of(here).pids.bind(actor);
  here.adopt(task);
  here.start(task);
  return actor.pid();
}

Pid start_actor(ActorTask& task, const SpawnRequest& request) {
  // Whatever is thrown here, its callable and what that owns end with it.
  const auto drop = [](Task* unstarted) { drop_reference(*unstarted); };
  std::unique_ptr<Task, decltype(drop)> unstarted(&task, drop);
  Hub& here = Hub::current();
  ActorHub& mine = ActorHub::of(here);
  Actor& actor = task.actor;
  Actor* me = request.link || request.monitor ? &current_actor() : current_actor_if_any();
  if (me) actor.parent = me->pid();
  Home home{.hub = &here};
  if (request.options) {
    const SpawnOptions& options = *request.options;
    check_stack_size("SpawnOptions::stack_size", options.stack_size);
    if (!options.label.empty()) actor.extra().label = options.label;
    if (options.mailbox.messages > 0) actor.extra().limit = options.mailbox;
    home = choose_hub(options.place, here);
    // Who asks for what all have there needs no stack of its own.
    if (options.stack_size != 0 && StackPool::rounded(options.stack_size) != home.hub->stack_size())
      task.stack_size = static_cast<std::uint32_t>(options.stack_size);
  }
  task.hub = home.hub;
  const bool is_here = home.hub == &here;
  actor.number = is_here ? mine.pids.bind(actor) : leased_number(here, *home.hub);
  const Pid pid = actor.pid();
  if (request.options && !request.options->name.empty()) {
    if (!claim_name(request.options->name, pid)) {
      if (is_here) {
        mine.pids.release(actor.number);
      } else {
        return_leased_number(here, *home.hub, actor.number);
        // A thread that was started for this actor has nothing to wait for.
        post_to_port(home.hub->id(), [](Hub& hub) { hub.tell_if_alone(); });
      }
      throw BadName("spawn: the name '" + request.options->name + "' is taken");
    }
    actor.extra().names.push_back(request.options->name);
  }
  if (request.link) {
    me->extra().links[pid] = LinkState();
    actor.extra().links[me->pid()] = LinkState();
  }
  if (request.monitor) {
    const std::uint64_t reference = new_reference(mine);
    me->extra().watching[reference] = pid;
    actor.extra().watchers[reference] = me->pid();
    *request.monitor = MonitorRef(reference, me->pid());
  }
  if (is_here) {
    static_cast<void>(unstarted.release());
    here.adopt(task);
    here.start(task);
    return pid;
  }
  auto leaving = std::make_unique<ArrivalPost>();
  leaving->task = &task;
  leaving->hold = std::move(home.hold);
  leaving->deliver = &arrive;
  if (post(home.hub->id(), *leaving)) {
    static_cast<void>(leaving.release());
    static_cast<void>(unstarted.release());
    return pid;
  }
  home.is_listed = {};  // what follows may run code of the user's
  for (const std::string& name : actor.extra().names) free_name(name, pid);
  unstarted.reset();
  if (request.link) send_signal({SignalKind::link_exit, pid, me->pid(), 0, Reason::noproc});
  if (request.monitor)
    send_signal({SignalKind::down, pid, me->pid(), request.monitor->number(), Reason::noproc});
  return pid;
}

}  // namespace greenroom::detail
