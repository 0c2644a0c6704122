#include "greenroom/scheduler/greenlet/sleep.h"

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/hub/park.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom {

void sleep(std::chrono::nanoseconds duration) {
  detail::enter_blocking_call();
  if (duration.count() <= 0) {
    detail::yield_now();
    detail::throw_pending();
    return;
  }
  const std::int64_t deadline = detail::add_saturated(detail::now_nanoseconds(), duration.count());
  // The timeout that interrupted it may have been cancelled by somebody else: then it sleeps on.
  while (detail::park("sleep", deadline, {detail::WaitsFor::Kind::timer, 0}) !=
         detail::ParkResult::expired) {
    detail::throw_pending();
  }
}

void yield() {
  detail::Task& self = detail::enter_blocking_call();
  self.hub->yield();
  if ((self.attention & detail::attention::throws) != 0) [[unlikely]]
    detail::throw_pending();
}

void green::idle() {
  detail::Task& self = detail::enter_blocking_call();
  for (;;) {
    detail::WaitNode node(self);
    self.hub->idlers().push_back(node);
    if (detail::park("idle") != detail::ParkResult::interrupted) return;
    detail::throw_pending();
  }
}

}  // namespace greenroom
