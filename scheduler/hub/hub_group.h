// The hubs of one run(): they conclude together that nothing can wake any of them. Any thread.
// Lives as long as a hub is in it: one whose thread does not end with run() may still tell it that
// it sleeps.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "greenroom/scheduler/hub/hub.h"

namespace greenroom::detail {

class HubGroup : public std::enable_shared_from_this<HubGroup> {
 public:
  enum class Role : std::uint8_t { main, worker, own_thread };

  static std::shared_ptr<HubGroup> make();
  ~HubGroup();
  HubGroup(const HubGroup&) = delete;
  HubGroup& operator=(const HubGroup&) = delete;
  void add(Hub& hub, Role role);
  void remove(Hub& hub);
  bool has_any(Role role) const;
  // Posts f(hub) to every hub of that role; the second, to those that it has not posted to yet.
  void post_to_all(Role role, const std::function<void(Hub&)>& f);
  void post_to_new(Role role, const std::function<void(Hub&)>& f);

  // `hub` has nothing to do, nothing armed and no hold. Throws LoopExit into the main hub's root if
  // that is true of all.
  void went_quiet(Hub& hub);
  void woke(Hub& hub) noexcept;

 private:
  HubGroup();

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace greenroom::detail
