#include "greenroom/scheduler/hub.h"

// Over 400 lines, because what parks, picks and resumes must be inlined into one another: a call
// between a switch and the user's code is paid on every resume.

#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "greenroom/scheduler/dump.h"
#include "greenroom/scheduler/interrupt.h"
#include "greenroom/scheduler/overflow_report.h"
#include "greenroom/scheduler/stall_watch.h"
#include "greenroom/scheduler/throw_hook.h"
#include "greenroom/scheduler/unwind_probe.h"

namespace greenroom {

constinit thread_local Hub* detail::bound_hub = nullptr;

using detail::bound_hub;
using detail::Fiber;
using detail::ParkResult;
using detail::Task;
using detail::TaskState;

namespace {

constexpr int largest_housekeeping_interval = 256;
constexpr std::int64_t housekeeping_period =
    100'000;  // while busy: inbox, timers and descriptors wait no longer
constexpr std::int64_t spin_time = 20'000;
constexpr std::int64_t spin_after_mail = 50'000;
constexpr std::int64_t trim_period = 1'000'000'000;
constexpr int idle_runner_limit = 2048;
constexpr std::int64_t thread_end_grace = 5'000'000'000;

// Hubs that are not asleep: more of them than processors, and spinning would take time from those
// with work.
std::atomic<int> awake_hubs{0};

// A timer's sequence is unique in the process: an error that says whose it is may go to another
// hub.
constexpr std::uint64_t timers_of_a_hub = std::uint64_t{1} << 40;
std::atomic<std::uint64_t> hubs_made{0};

int usable_processors() noexcept {
  static const int count = [] {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  }();
  return count;
}

void root_run(Task&) { std::abort(); }
void root_destroy(Task& task) noexcept { delete &task; }
void root_abandoned(Task&) noexcept {}
void root_stop(Task&) noexcept {}
std::string root_describe(const Task&) { return "root greenlet"; }
// For the overflow report: the stack is gone, so this runs on the signal stack. Describing
// allocates, which the thread that just overflowed its own code, not malloc's, can mostly afford;
// the report's headline is printed before.
std::size_t describe_current_task(char* buffer, std::size_t size) noexcept {
  const Hub* hub = bound_hub;
  if (!hub || !hub->current_task()) return 0;
  const std::string text = detail::describe(*hub->current_task());
  const std::size_t length = std::min(size, text.size());
  std::copy_n(text.data(), length, buffer);
  return length;
}

// What the hub's thread reports: overflows of stacks, and where an exception was thrown.
void install_reports() {
  detail::install_overflow_report_for_this_thread();
  detail::set_overflow_description(&describe_current_task);
  detail::set_throw_capture(true);
}

constexpr detail::TaskOps root_ops{&root_run,      &root_destroy, &root_abandoned,
                                   &root_describe, &root_stop,    nullptr};

}  // namespace

// Owns the implicit hub of a thread and ends it with the thread.
struct HubBinding {
  std::unique_ptr<Hub> hub;

  ~HubBinding() {
    if (!hub) return;
    if (hub->current_task() != &hub->root()) {
      std::fprintf(
          stderr,
          "greenroom: std::exit() was called inside %s; its locals and those of every other "
          "greenlet are not "
          "destroyed. Return from main or run(), or stop() the actor, instead.\n",
          hub->current_task() ? detail::describe(*hub->current_task()).c_str() : "hub work");
      // This very stack belongs to the hub: leave everything to the end of the process.
      detail::end_stall_watch(*hub);
      static_cast<void>(hub.release());
      return;
    }
    const std::size_t abandoned = hub->end_all_tasks(thread_end_grace);
    if (abandoned > 0) {
      std::fprintf(stderr,
                   "greenroom: %zu greenlets did not end with their thread and were abandoned\n",
                   abandoned);
      if (hub->group()) hub->group()->remove(*hub);
      detail::end_stall_watch(*hub);
      static_cast<void>(hub.release());
      return;
    }
    bound_hub = nullptr;
    detail::thread_block_pool = nullptr;
  }

  static Hub& make() {
    static thread_local HubBinding binding;
    if (binding.hub)
      throw std::logic_error("greenroom: a blocking call after the thread's hub has ended");
    binding.hub.reset(new Hub);
    return *binding.hub;
  }
};

struct Hold::Counter {
  std::atomic<int> count{0};
  std::atomic<detail::Port*> port{nullptr};
};

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

// ---- making, binding, ending ----

Hub& Hub::make_current() { return HubBinding::make(); }

Hub::Hub()
    : port_(detail::Port::open(*this)),
      housekept_at_(clock_.synchronize()),
      timers_(housekept_at_, timers_of_a_hub * hubs_made.fetch_add(1)),
      poller_(std::make_unique<detail::FutexPoller>(port_)),
      holds_(std::make_shared<Hold::Counter>()) {
  id_ = port_.number();
  holds_->port = &port_;
  bind();
  fiber_ = &thread_fiber_;
  thread_task_ = root_ = new Task(root_ops);
  root_->fiber = &thread_fiber_;
  root_->hub = this;
  adopt(*root_);
  start_slice(*root_);
  awake_hubs.fetch_add(1);
  install_reports();
  detail::watch_for_stalls(*this);
}

Hub::Hub(detail::Environment& environment)
    : environment_(&environment),
      port_(detail::Port::open(*this)),
      housekept_at_(environment.now()),
      timers_(housekept_at_, timers_of_a_hub * hubs_made.fetch_add(1)),
      poller_(std::make_unique<detail::FutexPoller>(port_)),
      holds_(std::make_shared<Hold::Counter>()) {
  id_ = port_.number();
  holds_->port = &port_;
  awake_hubs.fetch_add(1);
  install_reports();
}

Hub::~Hub() {
  if (!environment_) detail::end_stall_watch(*this);
  // Posts to a hub that is ending are delivered, so that what they own is released and who waits is
  // told.
  Hub* const outer = bound_hub;
  bind();
  current_ = nullptr;
  is_ending_ = true;
  if (thread_task_ && thread_task_->extension)
    thread_task_->extension->extension_ops->ended(*thread_task_);
  poller_.reset();
  deliver_all(undelivered_);
  while (detail::PostNode* node = port_.take_all()) {
    deliver_all(node);
    end_latecomers();
  }
  deliver_all(port_.close());
  end_latecomers();
  // Only now: as long as it was in, who waits for an answer from here is not told that none can
  // come.
  if (group_) group_->remove(*this);
  holds_->port = nullptr;
  destroy_retired();
  while (Fiber* fiber = idle_runners_) {
    idle_runners_ = fiber->next;
    destroy_fiber(*fiber);
  }
  if (thread_task_) {
    unlist(*thread_task_);
    delete std::exchange(thread_task_->interrupts, nullptr);
    drop_reference(*thread_task_);  // a greenlet of another hub may still think that it joins it
  }
  awake_hubs.fetch_sub(1);
  bound_hub = outer;
  detail::thread_block_pool = outer ? &outer->blocks_ : nullptr;
}

void Hub::deliver_all(detail::PostNode* node) {
  while (node) {
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
    while (Task* task = ready_.pop_front()) {
      if (!task->fiber) run_fresh(*task);
    }
  }
}

void Hub::bind() noexcept {
  bound_hub = this;
  thread_ = detail::thread_state();
  detail::thread_block_pool = &blocks_;
}

void Hub::install_poller(std::unique_ptr<detail::Poller> poller) { poller_ = std::move(poller); }

namespace {

struct FunctionPost final : detail::PostNode {
  std::function<void()> function;
};

}  // namespace

bool Hub::post_to(detail::Port& port, std::function<void()> f) {
  auto post = std::make_unique<FunctionPost>();
  post->function = std::move(f);
  post->deliver = [](Hub&, detail::PostNode& node) {
    const std::unique_ptr<FunctionPost> owned(static_cast<FunctionPost*>(&node));
    owned->function();
  };
  if (!port.push(*post)) return false;
  static_cast<void>(post.release());
  return true;
}

Hold Hub::hold() { return Hold(holds_); }

// ---- tasks ----

std::size_t detail::ReadyQueue::size() const {
  std::size_t count = 0;
  for (const Task* task = head_; task; task = task->next_ready) ++count;
  return count;
}

Task* detail::ReadyQueue::pop(std::size_t n) {
  Task** link = &head_;
  while (n-- > 0) link = &(*link)->next_ready;
  Task* task = *link;
  *link = task->next_ready;
  if (!*link) tail_ = link;
  return task;
}

void detail::ReadyQueue::remove(Task& task) {
  std::size_t n = 0;
  for (const Task* at = head_; at != &task; at = at->next_ready) ++n;
  pop(n);
}

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
  if (task.interrupts) {
    end_detached_timeouts(task);  // while task.interrupts is still there for them
    delete std::exchange(task.interrupts, nullptr);
  }
  drop_reference(task);
  if (task_count_ == 1 && thread_task_ && thread_task_->state == TaskState::parked &&
      std::string_view(thread_task_->park->reason) == "hub.end") {
    wake(*thread_task_, thread_task_->epoch, ParkResult::woken);
  }
}

std::size_t Hub::end_all_tasks(std::int64_t grace) {
  assert(current_ == thread_task_);
  const detail::Task* self = current_;
  const Uncancellable uncancellable;
  const std::int64_t deadline = detail::add_saturated(now(), grace);
  while (task_count_ > 1 && now() < deadline) {
    for_each_task([&](Task& task) {
      if (&task != self) task.ops->stop(task);
    });
    if (task_count_ == 1) break;
    // What unwinds may start other tasks: look again from time to time.
    park("hub.end", std::min(deadline, now() + 20'000'000), {});
  }
  return task_count_ - 1;
}

// ---- running ----

inline void Hub::start_slice(Task& task) noexcept {
  task.state = TaskState::running;
  current_ = &task;
  slice_ = whole_slice_;
  ++statistics_.slices;
}

bool Hub::extend_slice(std::size_t mail) noexcept {
  if (slice_.extension == mail_slice) slice_.extension = static_cast<int>(slice_for(mail));
  const int more =
      static_cast<int>(std::min<std::size_t>(mail, static_cast<std::size_t>(slice_.extension)));
  slice_.extension -= more;
  slice_.budget = more;
  return more > 0;
}

inline Task* Hub::pick() noexcept {
  if (--until_housekeeping_ < 0) return nullptr;  // always, in a simulation
  return ready_.pop_front();
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
  current_ = nullptr;
  if (task.fiber) task.fiber = nullptr;
  if (task.state == TaskState::running) {
    finish(task);
  } else if (environment_) [[unlikely]] {
    environment_->suspending(task);  // a server that waits for mail, without a stack
  }
}

void Hub::runner_entry(void* hub) { static_cast<Hub*>(hub)->run_loop(); }

void Hub::run_loop() {
  for (;;) {
    Task* task = handoff_;
    if (task) {
      handoff_ = nullptr;
    } else {
      task = pick();
      if (!task && environment_) task = next_simulated();
    }
    if (!task) {
      housekeeping();
    } else if (task->fiber) {
      resume(*task);
    } else if (task->stack_size == 0) [[likely]] {
      run_fresh(*task);
    } else if (!fiber_->is_dedicated) {
      switch_to_dedicated(*task);
    } else {
      run_fresh(*task);
      leave_dedicated();
    }
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

void Hub::abandon_current() noexcept {
  Task& self = *current_;
  self.fiber = fiber_;
  keep_for_ever(self);
  self.state = TaskState::abandoned;
  self.ops->abandoned(self);
  unlist(self);
  current_ = nullptr;
  Fiber& from = *fiber_;
  Fiber& to = take_runner();
  fiber_ = &to;
  from.switch_to(to, thread_);
  std::abort();  // nothing resumes it
}

void Hub::abandon(Task& task) noexcept {
  assert(task.fiber && (task.state == TaskState::parked || task.state == TaskState::ready));
  if (task.state == TaskState::ready) ready_.remove(task);
  stacks_.keep_for_ever();
  keep_for_ever(task);
  ++task.epoch;
  task.state = TaskState::abandoned;
  task.ops->abandoned(task);
  unlist(task);
}

Fiber& Hub::take_runner() {
  if (Fiber* runner = idle_runners_) {
    idle_runners_ = runner->next;
    --idle_runner_count_;
    return *runner;
  }
  return make_runner(0);
}

Fiber& Hub::make_runner(std::size_t stack_size) {
  ++statistics_.runners;
  return Fiber::create(stacks_.acquire(stack_size), &Hub::runner_entry, this);
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
  if (!fiber || fiber->is_thread()) return {nullptr, nullptr};
  return {fiber->stack().base, fiber->stack().top()};
}

// ---- parking ----

namespace {

void expire(detail::TimerNode& node) noexcept {
  const auto& timer = static_cast<detail::ParkDeadline::Timer&>(node);
  timer.task->hub->wake(*timer.task, timer.epoch, ParkResult::expired);
}

}  // namespace

void detail::ParkDeadline::arm_all(TimerWheel& timers) noexcept {
  for (ParkDeadline* deadline = next_; deadline != this;) {
    ParkDeadline* next = std::exchange(deadline->next_, nullptr);
    Task& task = *deadline->task_;
    Timer& timer = *new (&deadline->timer) Timer;
    timer.fire = &expire;
    timer.task = &task;
    timer.epoch = task.epoch;
    // One that is awake already, and only waits for its turn, is not armed any more.
    if (task.state == TaskState::parked) timers.arm(timer, task.park->deadline);
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
    frame.may_throw = !would_interrupt_terminate(self, frame.primitive);
    if (frame.may_throw) return ParkResult::interrupted;
  }
  self.park = &frame;
  self.state = TaskState::parked;
  if (deadline == detail::no_deadline) {
    switch_out(self);
  } else {
    detail::ParkDeadline pending(new_deadlines_, self);
    switch_out(self);
    pending.cancel(timers_);
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

// ---- hub work ----

void Hub::housekeeping() {
  ++statistics_.housekeepings;
  detail::tell_stall_watch();
  destroy_retired();
  const std::int64_t now = clock_.synchronize();
  // Few long slices: look after each; many short ones: seldom.
  const std::int64_t elapsed = now - housekept_at_;
  if (elapsed > housekeeping_period) {
    housekeeping_interval_ = std::max(housekeeping_interval_ / 2, 1);
  } else if (elapsed < housekeeping_period / 2) {
    housekeeping_interval_ = std::min(housekeeping_interval_ * 2, largest_housekeeping_interval);
  }
  until_housekeeping_ = housekeeping_interval_;
  housekept_at_ = now;
  load_.store(task_count_, std::memory_order_relaxed);
  drain_inbox();
  // Descriptors before timers: an event that is ready in the same round beats the timeout.
  if (poller_->is_watching() && (now - polled_at_ >= housekeeping_period || ready_.empty())) {
    poller_->poll(0);
    polled_at_ = now;
  }
  new_deadlines_.arm_all(timers_);
  timers_.fire_due(now);
  if (ready_.empty() && port_.is_empty()) idle();
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
  if (spin()) return;
  const std::int64_t deadline = timers_.next_deadline();
  const bool is_quiet = deadline == detail::no_deadline && !may_wait_for_ever();
  if (is_quiet && !group_) return conclude_loop_exit();
  port_.prepare_sleep();
  if (!port_.is_empty()) return port_.awake();
  awake_hubs.fetch_sub(1);
  ++statistics_.sleeps;
  if (housekept_at_ - trimmed_at_ > trim_period) {
    trimmed_at_ = housekept_at_;
    stacks_.trim_unused();
  }
  if (is_quiet) group_->went_quiet(*this);
  std::int64_t wait = detail::no_deadline;
  if (deadline != detail::no_deadline)
    wait = std::max<std::int64_t>(deadline - clock_.synchronize(), 0);
  poller_->poll(wait);
  if (is_quiet) group_->woke(*this);
  port_.awake();
  awake_hubs.fetch_add(1);
  detail::tell_stall_watch();
}

void Hub::conclude_loop_exit() {
  std::string report =
      "this operation would block for ever: nothing is ready, armed, watched or held\n";
  report += detail::dump_hub(*this);
  if (root_ && root_->state == TaskState::parked && can_throw_into(*root_)) {
    throw_into(*root_, std::make_exception_ptr(green::LoopExit(report)));
    if (root_->state != TaskState::parked) return;
  }
  std::fprintf(stderr, "greenroom: LoopExit where the root greenlet cannot be thrown into: %s",
               report.c_str());
  std::abort();
}

// ---- simulation ----

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
  until_housekeeping_ = 0;
  while (simulated_slices_ == 0) switch_to_driver();
  --simulated_slices_;
  return ready_.pop(environment_->choose(ready_.size()));
}

bool Hub::run_slice() {
  assert(environment_ && !current_);
  Hub* const outer = bound_hub;
  bind();
  destroy_retired();
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
  new_deadlines_.arm_all(timers_);
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
  new_deadlines_.arm_all(timers_);
  return timers_.next_deadline();
}

}  // namespace greenroom
