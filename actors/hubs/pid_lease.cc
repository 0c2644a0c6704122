#include "greenroom/actors/hubs/pid_lease.h"

#include <memory>
#include <utility>

#include "greenroom/actors/hubs/placement.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/system/crossing.h"

namespace greenroom::detail {

std::uint64_t leased_number(Hub& here, Hub& home) {
  ActorHub& mine = ActorHub::of(here);
  if (!mine.leases) mine.leases = std::make_unique<PidLeases>();
  PidLeases::Lease& lease = PidLeases::of(here).by_hub[home.id()];
  const std::uint64_t incarnation = ActorHub::of(home).incarnation;
  cross();
  // Numbers of a hub that has ended and had the same port are nobody's.
  if (lease.incarnation != incarnation) lease = {incarnation, {}};
  if (lease.numbers.empty()) lease.numbers = PidTable::lease_new_block(ActorHub::of(home).pids);
  const std::uint64_t number = lease.numbers.back();
  lease.numbers.pop_back();
  // Ask for used numbers in time: only a hub that spawns faster than the answer comes takes a new
  // block.
  if (lease.numbers.size() < PidTable::block_size / 2 && !lease.is_asked) {
    lease.is_asked = true;
    post_to_port(home.id(), [from = here.id(), to = home.id()](Hub& target) {
      auto numbers = ActorHub::of(target).pids.lease(PidTable::block_size);
      const std::uint64_t granter = ActorHub::of(target).incarnation;
      post_to_port(from, [to, granter, numbers = std::move(numbers)](Hub& asker) {
        if (!ActorHub::of(asker).leases) return;
        PidLeases::Lease& granted = PidLeases::of(asker).by_hub[to];
        if (granted.incarnation != granter) return;
        granted.is_asked = false;
        granted.numbers.insert(granted.numbers.end(), numbers.begin(), numbers.end());
      });
    });
  }
  return number;
}

void return_leased_number(Hub& here, Hub& home, std::uint64_t number) {
  PidLeases::Lease& lease = PidLeases::of(here).by_hub[home.id()];
  if (lease.incarnation == ActorHub::of(home).incarnation) lease.numbers.push_back(number);
}

}  // namespace greenroom::detail
