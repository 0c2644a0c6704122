#include "greenroom/scheduler/port/hold.h"

namespace greenroom {

Hold::Hold(std::shared_ptr<Counter> counter) : counter_(std::move(counter)) {
  counter_->count.fetch_add(1);
}

void Hold::release() noexcept {
  if (!counter_) return;
  // The last hold wakes the hub: it may now have to conclude that nothing will come.
  if (counter_->count.fetch_sub(1) == 1) {
    if (detail::Port* port = counter_->port.load()) port->wake();
  }
  counter_.reset();
}

}  // namespace greenroom
