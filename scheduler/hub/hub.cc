#include "greenroom/scheduler/hub/hub.h"

// Tasks, runners, parking, housekeeping. Over 400 lines, because what parks, picks and resumes must
// be inlined into one another: a call between a switch and the user's code is paid on every resume.

#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <utility>

#include "greenroom/scheduler/hub/hub_group.h"
#include "greenroom/scheduler/hub/hub_observer.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/trace/report_writer.h"
#include "greenroom/scheduler/unwind/unwind_probe.h"

namespace greenroom {

constinit thread_local Hub* detail::bound_hub = nullptr;
constinit std::atomic<int> detail::awake_hubs{0};
constinit const detail::HubObserver* detail::hub_observer = nullptr;

using detail::awake_hubs;
using detail::bound_hub;
using detail::Fiber;
using detail::ParkResult;
using detail::Task;
using detail::TaskState;

namespace {

constexpr int largest_housekeeping_interval = 256;
constexpr std::uint64_t slices_between_looks = 16;
constexpr std::int64_t housekeeping_period =
    100'000;  // while busy: inbox, timers and descriptors wait no longer
constexpr std::int64_t spin_time = 20'000;
constexpr std::int64_t spin_after_mail = 50'000;
constexpr std::int64_t stocktaking_period = 1'000'000'000;
constexpr int idle_runner_limit = 2048;
constexpr std::size_t farthest_to_overtake = 1000;

int usable_processors() noexcept {
  static const int count = [] {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  }();
  return count;
}

}  // namespace

void Hub::deliver_all(detail::PostNode* node) {
  while (node) {
    node->prefetch_ahead();
    detail::PostNode* next = node->next;  // deliver owns the node
    node->deliver(*this, *node);
    node = next;
  }
}

// Greenlets that posts to an ending hub have started run only to find that they are killed.
void Hub::end_latecomers() {
  constexpr int patience = 1000;  // their callables' destructors may start others
  for (int n = 0; n < patience && task_count_ > (thread_task_ ? 1U : 0U); ++n) {
    for_each_task([&](Task& task) {
      if (&task != thread_task_) task.ops->stop(task);
    });
    // Those that there are now: each may start another one.
    for (std::size_t left = task_count_; left > 0; --left) {
      Task* const task = ready_.pop_front();
      if (!task) break;
      if (task->fiber) continue;
      task->ops->stop(*task);  // one that was started meanwhile, too
      run_fresh(*task);
    }
  }
}

// Tasks.

void Hub::adopt(Task& task) {
  task.hub = this;
  task.previous_in_hub = last_task_;
  (last_task_ ? last_task_->next_in_hub : first_task_) = &task;
  last_task_ = &task;
  ++task_count_;
}

void Hub::unlist(Task& task) noexcept {
  (task.previous_in_hub ? task.previous_in_hub->next_in_hub : first_task_) = task.next_in_hub;
  (task.next_in_hub ? task.next_in_hub->previous_in_hub : last_task_) = task.previous_in_hub;
  task.previous_in_hub = task.next_in_hub = nullptr;
  --task_count_;
  tell_if_alone();
}

void Hub::wait_until_alone(std::int64_t deadline) {
  assert(current_ == thread_task_);
  wants_to_be_alone_ = true;
  park("hub.end", deadline, {});
  wants_to_be_alone_ = false;
}

void Hub::tell_if_alone() noexcept {
  if (task_count_ == 1 && wants_to_be_alone_ && thread_task_->state == TaskState::parked)
    end_park(*thread_task_, ParkResult::woken);
}

void Hub::start(Task& task) {
  assert(task.state == TaskState::unscheduled);
  task.state = TaskState::fresh;
  ready_.push_back(task);
}

void Hub::retire(Task& task) {
  assert(task.state == TaskState::idle || task.state == TaskState::unscheduled);
  finish(task);
}

void Hub::finish(Task& task) {
  task.state = TaskState::finished;
  unlist(task);
  if (task.interrupts) end_interrupts(task);
  drop_reference(task);
}

bool Hub::wake_first(const detail::Waker& waker, Task& turn) noexcept {
  assert(!current_ && current_if_any() == this);
  Task& task = waker.task();
  if (task.epoch != waker.epoch_ || task.state != TaskState::parked) return false;
  ++task.epoch;
  task.result = ParkResult::woken;
  task.state = TaskState::ready;
  run_first(task, turn);
  return true;
}

void Hub::run_first(Task& task, Task& turn) noexcept {
  turn.state = TaskState::fresh;
  ready_.push_front(turn);
  ready_.push_front(task);
}

void Hub::start_first(Task& task, Task& turn) noexcept {
  assert(!current_ && task.state == TaskState::unscheduled);
  task.state = TaskState::fresh;
  run_first(task, turn);
}

bool Hub::interrupt_first(Task& task, Task& turn) noexcept {
  assert(!current_ && current_if_any() == this);
  if (task.state != TaskState::parked && task.state != TaskState::ready) return false;
  if (task.park ? !task.park->may_throw || !may_interrupt(task, task.park->primitive)
                : task.uncancellable > 0)
    return false;
  if (task.state == TaskState::ready && task.park && !may_be_late(task.park->waits_for))
    return false;
  if (task.state == TaskState::parked) {
    ++task.epoch;
    task.state = TaskState::ready;
  } else if (!ready_.remove_near(task, farthest_to_overtake)) {
    return false;
  }
  // One that was woken and has not run gives back what it was given, as if it came second.
  if (task.park) task.result = ParkResult::interrupted;
  run_first(task, turn);
  return true;
}

// Of a hub that is ending, after all of its tasks.
void Hub::run_left_turns() {
  while (Task* task = ready_.pop_front()) {
    if (task->state == TaskState::fresh) run_fresh(*task);
  }
}

// Running.

bool Hub::extend_slice(std::size_t mail) noexcept {
  if (slice_.extension == mail_slice) slice_.extension = static_cast<int>(slice_for(mail));
  const int more =
      static_cast<int>(std::min<std::size_t>(mail, static_cast<std::size_t>(slice_.extension)));
  slice_.extension -= more;
  slice_.budget = more;
  return more > 0;
}

bool Hub::take_overdue() noexcept {
  const std::uint32_t number = overdue_slice_;
  if (number == 0) return false;
  overdue_slice_ = 0;  // what the watch has written meanwhile it writes once more
  if (number != static_cast<std::uint32_t>(statistics_.slices)) return false;
  gives_way_ = true;
  housekeep_soon();
  return true;
}

inline Task* Hub::pick() noexcept {
  if (statistics_.slices >= look_at_ && is_housekeeping_due()) [[unlikely]]
    return nullptr;  // always, in a simulation
  return ready_.pop_front();
}

// After as many slices as usual, or sooner, if they have become long.
bool Hub::is_housekeeping_due() noexcept {
  const std::uint64_t slices = statistics_.slices;
  if (slices >= housekeep_at_) return true;
  std::int64_t now = 0;
  if (!clock_.read(now) || now - housekept_at_ > housekeeping_period) {
    housekeep_soon();  // the next pick is to say so, too
    return true;
  }
  look_at_ = std::min(slices + slices_between_looks, housekeep_at_);
  return false;
}

inline void Hub::switch_out(Task& self) noexcept {
  Fiber& from = *fiber_;
  if (!self.fiber) self.fiber = &from;
  Task* next = pick();
  if (next == &self) {
    start_slice(self);
    return;
  }
  Fiber* to = nullptr;
  if (next && next->fiber) {
    to = next->fiber;
    start_slice(*next);
  } else {
    handoff_ = next;
    current_ = nullptr;
    to = &take_runner();
  }
  fiber_ = to;
  from.switch_to(*to, thread_);
}

// From the base of a runner to a task with a stack. The runner goes back to the pool, or for good
// if there are enough.
inline void Hub::resume(Task& task) noexcept {
  Fiber& self = *fiber_;
  Fiber& to = *task.fiber;
  start_slice(task);
  fiber_ = &to;
  if (idle_runner_count_ >= idle_runner_limit || self.is_dedicated) {
    self.next = retired_;
    retired_ = &self;
    self.leave_for(to);
  }
  self.next = idle_runners_;
  idle_runners_ = &self;
  ++idle_runner_count_;
  self.switch_to(to, thread_);
}

// On a fiber of its own, with the stack size that it asked for.
void Hub::switch_to_dedicated(Task& task) {
  Fiber& own = make_runner(task.stack_size);
  own.is_dedicated = true;
  Fiber& self = *fiber_;
  self.next = idle_runners_;
  idle_runners_ = &self;
  ++idle_runner_count_;
  handoff_ = &task;
  fiber_ = &own;
  self.switch_to(own, thread_);
}

// The task that this fiber was made for has ended: others do not run on a stack of its size.
void Hub::leave_dedicated() {
  Fiber& self = *fiber_;
  Fiber& to = take_runner();
  self.next = retired_;
  retired_ = &self;
  fiber_ = &to;
  self.leave_for(to);
}

inline void Hub::run_fresh(Task& task) {
  start_slice(task);
  task.ops->run(task);
  if (!current_) return;                           // a turn, which may be gone
  Task& last = *std::exchange(current_, nullptr);  // see next_alike()
  const bool had_parked = last.fiber != nullptr;
  if (had_parked) last.fiber = nullptr;
  if (last.state == TaskState::running) {
    finish(last);
  } else if (environment_) [[unlikely]] {
    environment_->suspending(last);  // a server that waits for mail, without a stack
  }
  if (had_parked && fiber_->is_dedicated) [[unlikely]]
    leave_dedicated();
}

void Hub::runner_entry(void* hub) { static_cast<Hub*>(hub)->run_loop(); }

void Hub::run_loop() {
  // Somebody hands a task over only where this runner is switched to.
  Task* task = std::exchange(handoff_, nullptr);
  for (;;) {
    if (!task) task = pick();
    if (!task && environment_) task = next_simulated();
    if (!task) {
      housekeeping();
    } else if (task->fiber) {
      resume(*task);
      task = std::exchange(handoff_, nullptr);
      continue;
    } else if (task->stack_size == 0) [[likely]] {
      run_fresh(*task);
    } else if (!fiber_->is_dedicated) {
      switch_to_dedicated(*task);
      task = std::exchange(handoff_, nullptr);
      continue;
    } else {
      run_fresh(*task);  // leaves, if the task has parked
      leave_dedicated();
    }
    task = nullptr;
  }
}

namespace {

// An abandoned task is never freed: its frames may be referred to from anywhere. Kept findable, for
// debuggers and leak checkers.
void keep_for_ever(Task& task) {
  static std::mutex mutex;
  static auto* abandoned = new std::vector<Task*>;
  const std::lock_guard lock(mutex);
  abandoned->push_back(&task);
}

}  // namespace

// Its frames stay as they are, and mapped: who waits elsewhere may lead into them.
void Hub::leave_for_ever(Task& task) noexcept {
  stacks_.keep_for_ever();
  keep_for_ever(task);
  ++task.epoch;
  task.state = TaskState::abandoned;
  if (task.park && task.park->waits_for.kind == detail::WaitsFor::Kind::turn) {
    auto& waiter = *reinterpret_cast<detail::Abandonable*>(task.park->waits_for.id);
    waiter.leave(waiter);
  }
  end_locals(task, detail::TaskPart::End::abandoned);
  task.ops->abandoned(task);
  end_stand_in(task, detail::TaskPart::End::abandoned);
  unlist(task);
}

void Hub::abandon_current() noexcept {
  Task& self = *current_;
  self.fiber = fiber_;
  leave_for_ever(self);
  current_ = nullptr;
  Fiber& from = *fiber_;
  Fiber& to = take_runner();
  fiber_ = &to;
  from.switch_to(to, thread_);
  std::abort();  // nothing resumes it
}

// None of them runs again, wherever it is.
void Hub::abandon_all() noexcept {
  for_each_task([&](Task& task) {
    if (&task != thread_task_) leave_for_ever(task);
  });
}

void Hub::abandon(Task& task) noexcept {
  assert(task.fiber && (task.state == TaskState::parked || task.state == TaskState::ready));
  if (&task == last_in_line_) {
    last_in_line_ = nullptr;
  } else if (task.state == TaskState::ready) {
    ready_.remove(task);
  }
  leave_for_ever(task);
}

Fiber& Hub::take_runner() {
  if (Fiber* runner = idle_runners_) {
    idle_runners_ = runner->next;
    --idle_runner_count_;
    return *runner;
  }
  return make_runner(stack_size_);
}

Fiber& Hub::make_runner(std::size_t stack_size) {
  ++statistics_.runners;
  return Fiber::create(stacks_.acquire(stack_size), &Hub::runner_entry, this);
}

void Hub::set_stack_size(std::size_t bytes) {
  assert(current_ == thread_task_);
  const std::size_t size = detail::StackPool::rounded(bytes);
  if (size == stack_size_) return;
  stack_size_ = size;
  while (Fiber* fiber = idle_runners_) {
    idle_runners_ = fiber->next;
    destroy_fiber(*fiber);
  }
  idle_runner_count_ = 0;
  // Nobody runs on these after the tasks that have them.
  for_each_task([](Task& task) {
    if (task.fiber && !task.fiber->is_thread()) task.fiber->is_dedicated = true;
  });
}

void Hub::destroy_fiber(Fiber& fiber) noexcept { stacks_.release(Fiber::destroy(fiber)); }

void Hub::destroy_retired() noexcept {
  while (Fiber* fiber = retired_) {
    retired_ = fiber->next;
    destroy_fiber(*fiber);
  }
}

std::pair<const std::byte*, const std::byte*> Hub::stack_bounds(const Task& task) const {
  const Fiber* fiber = &task == current_ ? fiber_ : task.fiber;
  const detail::Stack* stack = fiber ? fiber->stack_in_use() : nullptr;
  if (!stack) return {nullptr, nullptr};
  return {stack->base, stack->top()};
}

// Parking.

namespace {

void expire(detail::TimerNode& node) noexcept {
  static_cast<detail::ParkDeadline::Timer&>(node).waker.wake(ParkResult::expired);
}

}  // namespace

void detail::ParkDeadline::arm_all(TimerWheel& timers, std::int64_t now) noexcept {
  for (ParkDeadline* deadline = next_; deadline != this;) {
    ParkDeadline* next = std::exchange(deadline->next_, nullptr);
    Task& task = *deadline->task_;
    Timer& timer = *new (&deadline->timer) Timer;
    timer.fire = &expire;
    timer.waker = Waker(task, task.epoch);
    // One that is awake already, and only waits for its turn, is not armed any more.
    if (task.state == TaskState::parked) {
      task.park->deadline = close_deadline(task.park->deadline, now);
      if (task.park->deadline != no_deadline) timers.arm(timer, task.park->deadline);
    }
    deadline = next;
  }
  next_ = previous_ = this;
}

inline ParkResult Hub::park_for(const detail::UnwindContext& primitive, const char* reason,
                                std::int64_t deadline, detail::WaitsFor waits_for) noexcept {
  Task& self = *current_;
  assert(bound_hub == this && self.state == TaskState::running);
  if (environment_) environment_->suspending(self);
  detail::ParkFrame frame{reason,
                          deadline,
                          housekept_at_,
                          waits_for,
                          self.uncancellable == 0 && thread_.exceptions->uncaught == 0,
                          primitive};
  if (frame.may_throw && (self.attention & detail::attention::throws) != 0) [[unlikely]] {
    if (may_interrupt(self, frame.primitive)) {
      interrupted_deadline_ = deadline;
      return ParkResult::interrupted;
    }
  }
  self.park = &frame;
  self.state = TaskState::parked;
  if (deadline == detail::no_deadline) {
    switch_out(self);
  } else {
    detail::ParkDeadline pending(new_deadlines_, self);
    switch_out(self);
    pending.cancel(timers_);
    if (self.result == ParkResult::interrupted) interrupted_deadline_ = frame.deadline;
  }
  self.park = nullptr;
  return self.result;
}

[[gnu::noinline]] ParkResult Hub::park(const char* reason, std::int64_t deadline,
                                       detail::WaitsFor waits_for) noexcept {
  return park_for(detail::caller_of(__builtin_frame_address(0)), reason, deadline, waits_for);
}

// The same once more: a call between the two would be one more return on every resume.
[[gnu::noinline]] ParkResult detail::park(const char* reason, std::int64_t deadline,
                                          detail::WaitsFor waits_for) noexcept {
  return bound_hub->park_for(detail::caller_of(__builtin_frame_address(0)), reason, deadline,
                             waits_for);
}

ParkResult Hub::yield() noexcept {
  Task& self = *current_;
  assert(bound_hub == this && self.state == TaskState::running);
  if (environment_) environment_->suspending(self);
  self.state = TaskState::ready;
  self.result = ParkResult::woken;
  ready_.push_back(self);
  switch_out(self);
  return self.result;
}

ParkResult Hub::yield_behind(Task& place) noexcept {
  Task& self = *current_;
  assert(bound_hub == this && self.state == TaskState::running);
  const bool is_queued = place.state == TaskState::ready || place.state == TaskState::fresh;
  if (!is_queued || &place == last_in_line_) return yield();
  if (environment_) environment_->suspending(self);
  self.state = TaskState::ready;
  self.result = ParkResult::woken;
  ready_.insert_behind(place, self);
  switch_out(self);
  return self.result;
}

ParkResult Hub::give_way() noexcept {
  Task& self = *current_;
  assert(bound_hub == this && self.state == TaskState::running && gives_way_ && !last_in_line_);
  self.state = TaskState::ready;
  self.result = ParkResult::woken;
  last_in_line_ = &self;
  switch_out(self);
  return self.result;
}

void Hub::activate_last(Task& task) noexcept {
  assert(task.state == TaskState::idle && gives_way_ && !last_in_line_);
  task.state = TaskState::fresh;
  last_in_line_ = &task;
}

// Hub work.

void Hub::housekeeping() {
  ++statistics_.housekeepings;
  if (detail::hub_observer) detail::hub_observer->turn();
  destroy_retired();
  const std::int64_t now = clock_.synchronize();
  // Few long slices: look after each; many short ones: seldom.
  const std::int64_t elapsed = now - housekept_at_;
  if (elapsed > housekeeping_period) {
    housekeeping_interval_ =
        std::max(static_cast<int>(housekeeping_interval_ * housekeeping_period / elapsed), 1);
  } else if (elapsed < housekeeping_period / 2) {
    housekeeping_interval_ = std::min(housekeeping_interval_ * 2, largest_housekeeping_interval);
  }
  housekeep_at_ = statistics_.slices + static_cast<std::uint64_t>(housekeeping_interval_);
  look_at_ = std::min(statistics_.slices + slices_between_looks, housekeep_at_);
  housekept_at_ = now;
  load_.store(task_count_, std::memory_order_relaxed);
  drain_inbox();
  // Descriptors before timers: an event that is ready in the same round beats the timeout.
  if (poller_->is_watching() && (now - polled_at_ >= housekeeping_period || ready_.empty())) {
    poller_->poll(0);
    polled_at_ = now;
  }
  new_deadlines_.arm_all(timers_, now);
  timers_.fire_due(now);
  if (gives_way_) [[unlikely]] {
    gives_way_ = false;
    if (last_in_line_) ready_.push_back(*std::exchange(last_in_line_, nullptr));
  }
  if (ready_.empty() && port_.is_empty()) {
    idlers_.empty() ? idle() : idlers_.wake_all();
  } else if (stacks_.has_surplus()) [[unlikely]] {
    take_stock();
    stacks_.give_back(detail::StackPool::HubState::busy);
  }
}

void Hub::take_stock() noexcept {
  if (housekept_at_ - stock_taken_at_ <= stocktaking_period) return;
  stock_taken_at_ = housekept_at_;
  stacks_.take_stock();
}

void Hub::drain_inbox() {
  detail::PostNode* node = port_.take_all();
  if (!node) return;
  mail_from_outside_at_ = housekept_at_;
  deliver_all(node);
}

bool Hub::may_wait_for_ever() const { return holds_->count.load() > 0 || poller_->is_watching(); }

bool Hub::spin() noexcept {
  if (housekept_at_ - mail_from_outside_at_ > spin_after_mail || mail_from_outside_at_ == 0)
    return false;
  if (awake_hubs.load(std::memory_order_relaxed) > usable_processors()) return false;
  const std::int64_t until = clock_.now() + spin_time;
  do {
    for (int i = 0; i < 16; ++i) {
      if (!port_.is_empty()) return true;
      _mm_pause();
    }
  } while (clock_.now() < until);
  return false;
}

void Hub::idle() {
  take_stock();
  if (stacks_.has_surplus() && stacks_.give_back(detail::StackPool::HubState::about_to_sleep))
    return;                          // first what has become ready meanwhile
  if (spin()) return drain_inbox();  // and on with it, before another look at the clock
  const std::int64_t deadline = timers_.next_deadline();
  const bool is_quiet = deadline == detail::no_deadline && !may_wait_for_ever();
  if (is_quiet && !group_) {
    // Whoever gave up the last hold has posted before: a wake may have come since the inbox was
    // looked at.
    if (!port_.is_empty()) return;
    return conclude_loop_exit();
  }
  port_.prepare_sleep();
  if (!port_.is_empty()) return port_.awake();
  awake_hubs.fetch_sub(1);
  ++statistics_.sleeps;
  if (is_quiet) group_->went_quiet(*this);
  std::int64_t wait = detail::no_deadline;
  if (deadline != detail::no_deadline)
    wait = std::max<std::int64_t>(deadline - clock_.synchronize(), 0);
  poller_->poll(wait);
  if (is_quiet) group_->woke(*this);
  port_.awake();
  awake_hubs.fetch_add(1);
  if (detail::hub_observer) detail::hub_observer->turn();
}

void Hub::conclude_loop_exit() {
  std::string report =
      "this operation would block for ever: nothing is ready, armed, watched or held\n";
  if (detail::hub_observer) report += detail::hub_observer->list(*this);
  if (root_ && root_->state == TaskState::parked && can_throw_into(*root_)) {
    throw_into(*root_, std::make_exception_ptr(green::LoopExit(report)));
    if (root_->state != TaskState::parked) return;
  }
  detail::write_in_order("greenroom: LoopExit where the root greenlet cannot be thrown into: " +
                         report);
  std::abort();
}

}  // namespace greenroom
