// A hub that a simulation drives: slices one by one, in the order that its environment chooses.
#include <cassert>
#include <utility>

#include "greenroom/scheduler/hub.h"

namespace greenroom {

using detail::bound_hub;
using detail::Fiber;
using detail::Task;

void Hub::switch_to_driver() noexcept {
  Fiber& self = *fiber_;
  self.next = idle_runners_;
  idle_runners_ = &self;
  ++idle_runner_count_;
  fiber_ = &thread_fiber_;
  self.switch_to(thread_fiber_, thread_);
}

// At the base of a runner: back to the driver, until it wants one more task run.
Task* Hub::next_simulated() noexcept {
  while (simulated_slices_ == 0) switch_to_driver();
  --simulated_slices_;
  return ready_.pop(environment_->choose(ready_.size()));
}

bool Hub::run_slice() {
  assert(environment_ && !current_);
  Hub* const outer = bound_hub;
  bind();
  destroy_retired();
  if (stacks_.has_surplus()) stacks_.give_back(detail::StackPool::HubState::about_to_sleep);
  housekept_at_ = environment_->now();
  load_.store(task_count_, std::memory_order_relaxed);
  // What was held back before comes first: per sender nothing overtakes.
  detail::PostNode** tail = &undelivered_;
  std::size_t count = 0;
  for (; *tail; tail = &(*tail)->next) ++count;
  *tail = port_.take_all();
  for (; *tail; tail = &(*tail)->next) ++count;
  for (std::size_t n = count > 0 ? environment_->deliver(count) : 0; n > 0; --n) {
    detail::PostNode* node = std::exchange(undelivered_, undelivered_->next);
    node->deliver(*this, *node);
  }
  poller_->poll(0);
  new_deadlines_.arm_all(timers_, housekept_at_);
  timers_.fire_due(housekept_at_);
  const bool ran = !ready_.empty();
  if (ran) {
    simulated_slices_ = 1;
    Fiber& runner = take_runner();
    fiber_ = &runner;
    thread_fiber_.switch_to(runner, thread_);
    fiber_ = nullptr;
  }
  bound_hub = outer;
  if (outer)
    outer->bind();
  else
    detail::thread_block_pool = nullptr;
  return ran;
}

std::int64_t Hub::next_event() {
  if (!ready_.empty() || undelivered_ || !port_.is_empty() || poller_->has_news())
    return environment_->now();
  new_deadlines_.arm_all(timers_, environment_->now());
  return timers_.next_deadline();
}

}  // namespace greenroom
