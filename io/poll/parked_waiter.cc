#include "greenroom/io/poll/parked_waiter.h"

#include <utility>

#include "greenroom/scheduler/task/describe.h"

namespace greenroom::detail {

void ParkedWaiter::enter(Descriptor& descriptor, Direction direction, std::int64_t deadline) {
  descriptor.enter(direction, *this, deadline);
  descriptor_ = &descriptor;
  poller_ = &descriptor.poller();
  direction_ = direction;
}

void ParkedWaiter::leave() noexcept {
  take_told_back();
  if (Descriptor* descriptor = std::exchange(descriptor_, nullptr))
    descriptor->leave(direction_, *this);
}

void ParkedWaiter::take_told_back() noexcept {
  if (std::exchange(is_told_, false)) poller_->remove_told();
}

bool ParkedWaiter::on_ready() noexcept {
  if (waker_.wake()) {
    is_told_ = true;
    poller_->add_told();
  }
  return true;
}

void ParkedWaiter::on_end(int error) noexcept {
  descriptor_ = nullptr;
  end_error_ = error;
  waker_.wake();
}

std::string ParkedWaiter::describe() const { return detail::describe(waker_.task()); }

}  // namespace greenroom::detail
