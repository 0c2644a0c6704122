// A hub that a simulation drives: slices one by one, in the order that its environment chooses.
#include <cassert>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/system/crossing.h"

namespace greenroom {

using detail::bound_hub;
using detail::Fiber;
using detail::Task;

void Hub::switch_to_driver() noexcept {
  Fiber& self = *fiber_;
  self.next = idle_runners_;
  idle_runners_ = &self;
  ++idle_runner_count_;
  self.switch_to(thread_fiber_, thread_);
}

// At the base of a runner: back to the driver, until it wants one more task run.
Task* Hub::next_simulated() noexcept {
  for (;;) {
    while (!is_slice_wanted_) switch_to_driver();
    is_slice_wanted_ = false;
    do_simulated_work();
    has_run_task_ = !ready_.empty();
    if (has_run_task_) return ready_.pop(environment_->choose(ready_.size()));
  }
}

// As housekeeping, at the base of a runner: so a crossing can stop it.
void Hub::do_simulated_work() {
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
  if (ready_.empty() && !undelivered_ && port_.is_empty()) idlers_.wake_all();
}

bool Hub::run_slice() {
  assert(environment_);
  Hub* const outer = bound_hub;
  bind(this);
  if (!std::exchange(is_in_the_middle_, false)) {
    assert(!current_ && !fiber_);
    destroy_retired();
    if (stacks_.has_surplus()) stacks_.give_back(detail::StackPool::HubState::about_to_sleep);
    is_slice_wanted_ = true;
    fiber_ = &take_runner();
  }
  thread_fiber_.switch_to(*fiber_, thread_);
  if (!is_in_the_middle_) fiber_ = nullptr;
  bind(outer);
  return is_in_the_middle_ || has_run_task_;
}

std::int64_t Hub::next_event() {
  if (is_in_the_middle_) return environment_->now();
  if (!ready_.empty() || undelivered_ || !port_.is_empty() || poller_->has_news() ||
      !idlers_.empty())
    return environment_->now();
  new_deadlines_.arm_all(timers_, environment_->now());
  return timers_.next_deadline();
}

// Crossings.

// Null: on this thread nothing is simulated now.
Hub* Hub::simulated_current() noexcept {
  return bound_hub && bound_hub->environment_ ? bound_hub : nullptr;
}

// Back to the driver, which may let other hubs go on first. A hub that begins or ends stands on no
// fiber of its own, and is not stopped.
void Hub::cross() noexcept {
  if (shared_locks_ > 0 || !fiber_ || fiber_ == &thread_fiber_ || !environment_->crosses(*this))
    return;
  is_in_the_middle_ = true;
  fiber_->switch_to(thread_fiber_, thread_);
}

namespace {

// On real threads the order is the kernel's: this only makes it try more of them.
[[gnu::noinline]] void yield_at_random() noexcept {
  const unsigned one_in = detail::yields_at_crossings.load(std::memory_order_relaxed);
  if (one_in == 0) return;
  constexpr unsigned one_in_that_sleep = 8;
  static thread_local std::minstd_rand dice(std::random_device{}());
  if (dice() % one_in != 0) return;
  if (dice() % one_in_that_sleep != 0) return std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::microseconds(dice() % 50));
}

}  // namespace

void Hub::cross_or_yield() noexcept {
  if (Hub* hub = simulated_current()) {
    hub->cross();
  } else {
    yield_at_random();
  }
}

constexpr detail::CrossingHooks Hub::crossing_table = {
    .cross = &Hub::cross_or_yield,
    .about_to_lock = &Hub::cross_or_yield,
    .locked =
        []() noexcept {
          if (Hub* hub = simulated_current()) ++hub->shared_locks_;
        },
    .unlocked =
        []() noexcept {
          if (Hub* hub = simulated_current()) --hub->shared_locks_;
          cross_or_yield();
        },
};

void Hub::watch_crossings() noexcept { detail::crossing_hooks.store(&crossing_table); }

}  // namespace greenroom
