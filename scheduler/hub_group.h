// The hubs of one run(): they conclude together that nothing can wake any of them. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "greenroom/scheduler/hub.h"

namespace greenroom::detail {

class HubGroup {
 public:
  enum class Role : std::uint8_t { main, worker, own_thread };

  HubGroup();
  ~HubGroup();
  void add(Hub& hub, Role role);
  void remove(Hub& hub);
  // Waits, without parking, until no hub of that role is left or the kernel's clock is past the
  // deadline; false: it is.
  bool wait_until_none(Role role, std::int64_t deadline);
  // Posts f(hub) to every hub of that role.
  void post_to_all(Role role, const std::function<void(Hub&)>& f);

  // `hub` has nothing to do, nothing armed and no hold. Throws LoopExit into the main hub's root if
  // that is true of all.
  void went_quiet(Hub& hub);
  void woke(Hub& hub) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace greenroom::detail
