#include "greenroom/actors/hubs/own_thread.h"

#include <future>
#include <thread>
#include <utility>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/scheduler/hub/hub_group.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/watch/stall_watch.h"

namespace greenroom::detail {

Home start_own_thread(Hub& here) {
  using Started = std::pair<Hub*, Hold>;
  std::promise<Started> promise;
  std::future<Started> started = promise.get_future();
  // Hubs of a group see each other. Without one neither knows what may still come from the other.
  Hold news = here.group() ? Hold() : here.hold();
  std::thread([group = here.group(), news = std::move(news), stack_size = here.stack_size(),
               promise = std::move(promise)]() mutable {
    try {
      Hub& mine = Hub::current();
      mine.set_stack_size(stack_size);
      do_not_report_stalls(mine);  // who has a thread of its own may keep it
      ActorHub::of(mine);          // others look into it: it must be there
      if (group) group->add(mine, HubGroup::Role::own_thread);
      promise.set_value({&mine, mine.hold()});
    } catch (...) {
      promise.set_exception(std::current_exception());
      return;
    }
    // Until the last task has ended; the hub leaves the group when it ends with its thread.
    const Hold mail = group ? Hold() : Hub::current().hold();
    const Uncancellable until_then;
    Hub::current().wait_until_alone(no_deadline);
  }).detach();
  Started result = started.get();
  return {.hub = result.first, .hold = std::move(result.second)};
}

}  // namespace greenroom::detail
