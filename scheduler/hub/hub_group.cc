#include "greenroom/scheduler/hub/hub_group.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/system/crossing.h"

namespace greenroom::detail {

struct HubGroup::State {
  struct Member {
    Hub* hub;
    Role role;
    bool is_quiet = false;
    bool is_posted_to = false;
  };
  SharedMutex mutex;
  std::vector<Member> members;

  // With the lock. A quiet hub sends nothing, so if all are quiet and no inbox holds anything,
  // nothing is under way.
  void conclude_if_all_are_quiet() {
    Hub* main = nullptr;
    for (const Member& member : members) {
      if (!member.is_quiet || !member.hub->port().is_empty()) return;
      if (member.role == Role::main) main = member.hub;
    }
    if (main) main->post([main] { main->conclude_loop_exit(); });
  }

  Member* find(const Hub& hub) {
    for (Member& member : members) {
      if (member.hub == &hub) return &member;
    }
    return nullptr;
  }
};

std::shared_ptr<HubGroup> HubGroup::make() { return std::shared_ptr<HubGroup>(new HubGroup); }

HubGroup::HubGroup() : state_(std::make_unique<State>()) {}
HubGroup::~HubGroup() = default;

void HubGroup::add(Hub& hub, Role role) {
  const std::lock_guard lock(state_->mutex);
  state_->members.push_back({&hub, role});
  hub.join(shared_from_this());
}

void HubGroup::remove(Hub& hub) {
  const std::shared_ptr<HubGroup> until_unlocked = shared_from_this();
  const std::lock_guard lock(state_->mutex);
  std::erase_if(state_->members, [&](const State::Member& member) { return member.hub == &hub; });
  hub.join(nullptr);
  state_->conclude_if_all_are_quiet();  // it may have been the last that was not
}

bool HubGroup::has_any(Role role) const {
  const std::lock_guard lock(state_->mutex);
  return std::any_of(state_->members.begin(), state_->members.end(),
                     [&](const State::Member& member) { return member.role == role; });
}

void HubGroup::post_to_all(Role role, const std::function<void(Hub&)>& f) {
  const std::lock_guard lock(state_->mutex);
  for (const State::Member& member : state_->members) {
    if (member.role == role) member.hub->post([f, hub = member.hub] { f(*hub); });
  }
}

void HubGroup::post_to_new(Role role, const std::function<void(Hub&)>& f) {
  const std::lock_guard lock(state_->mutex);
  for (State::Member& member : state_->members) {
    if (member.role != role || std::exchange(member.is_posted_to, true)) continue;
    member.hub->post([f, hub = member.hub] { f(*hub); });
  }
}

void HubGroup::went_quiet(Hub& hub) {
  const std::lock_guard lock(state_->mutex);
  if (State::Member* member = state_->find(hub)) member->is_quiet = true;
  state_->conclude_if_all_are_quiet();
}

void HubGroup::woke(Hub& hub) noexcept {
  const std::lock_guard lock(state_->mutex);
  if (State::Member* member = state_->find(hub)) member->is_quiet = false;
}

}  // namespace greenroom::detail
