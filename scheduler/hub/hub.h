// A hub: a single-threaded world of tasks - ready queue, timers, poller, inbox.
//
// A hub is an object bound to a thread while it runs. A thread gets one at its first blocking call
// (the thread's own stack is then its root greenlet); a simulation drives several on one thread.
// Everything here is for the hub's thread only, except what says "any thread".
//
// How it runs (stack on demand): tasks that have no stack are called as plain functions at the base
// of a *runner*, a fiber whose base loop is the hub's loop. A task that parks keeps the runner's
// fiber and the loop goes on, on another one; a task with a stack is resumed by one direct switch.
// Hub work (inbox, timers, poller callbacks) runs at the base of a runner, too, with no current
// task.
//
// Rejected: a dedicated loop fiber (two switches per resume instead of one); running hub work on
// the parking greenlet's stack (its depth is the user's, and a callback would see a current task).
//
// Over 400 lines, because what is inlined into every switch and every message lies in one class,
// with the fields that it touches beside one another.
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "greenroom/scheduler/fiber/fiber.h"
#include "greenroom/scheduler/fiber/stack.h"
#include "greenroom/scheduler/hub/park.h"
#include "greenroom/scheduler/hub/park_deadline.h"
#include "greenroom/scheduler/memory/block_pool.h"
#include "greenroom/scheduler/port/hold.h"
#include "greenroom/scheduler/port/poller.h"
#include "greenroom/scheduler/port/port.h"
#include "greenroom/scheduler/system/shared_word.h"
#include "greenroom/scheduler/task/ready_queue.h"
#include "greenroom/scheduler/task/task.h"
#include "greenroom/scheduler/time/tick_clock.h"
#include "greenroom/scheduler/time/timer_wheel.h"

namespace greenroom {

namespace detail {

class HubGroup;
struct CrossingHooks;
struct StallSnapshot;

// The hub that is bound to the calling thread. For Hub::current(); what else there is per thread
// hangs on the hub.
extern constinit thread_local Hub* bound_hub;
// Hubs that are not asleep: with more of them than processors, one that spins takes time from those
// with work.
extern constinit std::atomic<int> awake_hubs;

// What a higher layer keeps per hub.
struct HubExtension {
  virtual ~HubExtension() = default;
};
// What a simulation puts in the place of something that a higher layer asks the kernel for.
struct EnvironmentExtension {
  virtual ~EnvironmentExtension() = default;
};
enum class Layer : std::uint8_t { io, actors };

// What a simulation replaces. A hub without one takes the real clock, the front of the queue, and
// its whole inbox.
class Environment {
 public:
  virtual ~Environment() = default;
  virtual std::int64_t now() noexcept = 0;
  // The index of the next task to run among `count` ready ones.
  virtual std::size_t choose(std::size_t count) noexcept = 0;
  // How many of the posts in the inbox arrive now.
  virtual std::size_t deliver(std::size_t count) noexcept = 0;
  // A task is about to park or to yield; or a server has dealt with its mail.
  virtual void suspending(Task& task) noexcept = 0;
  // Another hub's thread could act now. True: this hub stops here, in the middle of its slice, and
  // goes on at its next run_slice().
  virtual bool crosses(Hub&) noexcept { return false; }
  // Null: nothing of that layer is simulated.
  virtual EnvironmentExtension* extension(Layer) noexcept { return nullptr; }
};

}  // namespace detail

class Hub {
 public:
  static constexpr int default_budget = 1024;
  static constexpr int mail_slice = 16384;

  // The calling thread's hub; made, with the thread's stack as root greenlet, if there is none.
  static Hub& current() {
    Hub* hub = detail::bound_hub;
    return hub ? *hub : make_current();
  }
  // The hub bound to the calling thread, or null.
  static Hub* current_if_any() noexcept { return detail::bound_hub; }

  // A hub without a thread, driven by run_slice() under an environment.
  explicit Hub(detail::Environment& environment);
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  // The number of its port; used again once the hub has ended.
  std::uint32_t id() const { return id_; }

  // Any thread: runs f on this hub, as hub work: it must neither block nor throw. False if the hub
  // has ended. To reach a hub that waits for nothing else, take a hold() first.
  bool post(std::function<void()> f) { return post_to(port_, std::move(f)); }
  // The same for the hub that has this port, which may have ended.
  static bool post_to(detail::Port& port, std::function<void()> f);
  // The hub waits, possibly for ever, as long as the hold lives.
  Hold hold();

  // Binds this hub to the calling thread, delivers what is due and runs one chosen task until it
  // parks, yields or ends; or goes on where a crossing has stopped it. Returns as well where one
  // stops it: then it is in the middle. False if nothing was ready. Only for hubs with an
  // environment.
  bool run_slice();
  // Stopped by a crossing (crossing.h): there is a current task, or hub work, that is to go on.
  bool is_in_the_middle() const { return is_in_the_middle_; }
  // From now on crossings in simulations ask their environment, and others may yield. For good; any
  // thread.
  static void watch_crossings() noexcept;
  // The earliest time at which run_slice() would have something to do; no_deadline if nothing is
  // armed.
  std::int64_t next_event();

  // For the runtime.
  detail::Task* current_task() const { return current_; }
  detail::Task& root() { return *root_; }
  // The task that LoopExit is thrown into: the thread's own, unless set.
  void set_root(detail::Task& task) { root_ = &task; }
  detail::Port& port() { return port_; }
  detail::TimerWheel& timers() { return timers_; }
  detail::Environment* environment() const { return environment_; }
  detail::Poller& poller() { return *poller_; }
  void install_poller(std::unique_ptr<detail::Poller> poller);
  std::unique_ptr<detail::HubExtension>& extension(detail::Layer layer) {
    return extensions_[static_cast<std::size_t>(layer)];
  }
  // It delivers what is left and runs nothing any more.
  bool is_ending() const { return is_ending_; }
  void join(std::shared_ptr<detail::HubGroup> group);
  const std::shared_ptr<detail::HubGroup>& group() const { return group_; }
  // For a wait for news from the hub of that port. A hub of the same group needs none: it is seen.
  Hold hold_for_news_from(std::uint32_t port);
  // Nothing can wake anything any more: throws LoopExit into the root.
  void conclude_loop_exit();

  std::int64_t now() noexcept { return environment_ ? environment_->now() : clock_.now(); }
  // The same without a call; false: that cannot be.
  bool read_clock(std::int64_t& now) const noexcept { return !environment_ && clock_.read(now); }
  std::int64_t coarse_now() const { return housekept_at_; }
  // So long from now, for a park that begins now: open, unless the clock costs nothing.
  std::int64_t deadline_after(std::int64_t duration) noexcept {
    if (duration == detail::no_deadline) return detail::no_deadline;
    if (environment_ || duration == 0) [[unlikely]]
      return detail::add_saturated(now(), duration);
    return detail::open_deadline(duration);
  }
  // Of the park that was interrupted last: for whoever parks again for the same.
  std::int64_t interrupted_deadline() const { return interrupted_deadline_; }

  // Takes a made task in; start() puts it at the end of the ready queue.
  void adopt(detail::Task& task);
  void start(detail::Task& task);
  // A stackless task that went idle has work again.
  void activate(detail::Task& task) {
    assert(task.state == detail::TaskState::idle && current_if_any() == this);
    task.state = detail::TaskState::fresh;
    ready_.push_back(task);
  }
  // For TaskOps::run: the current task has gone idle. If the next one is run by the same function,
  // it is current now, and the caller is to run it instead of returning; null: return.
  [[gnu::always_inline]] detail::Task* next_alike() noexcept;
  void make_ready(detail::Task& task) {
    assert(task.state == detail::TaskState::parked && current_if_any() == this);
    task.state = detail::TaskState::ready;
    ready_.push_back(task);
  }
  // A task that never ran, or is idle, is over: off the hub's list, reference dropped.
  void retire(detail::Task& task);

  detail::ParkResult park(const char* reason, std::int64_t deadline,
                          detail::WaitsFor waits_for) noexcept;
  // The same for a caller of the caller.
  [[gnu::always_inline]] detail::ParkResult park_for(const detail::UnwindContext& primitive,
                                                     const char* reason, std::int64_t deadline,
                                                     detail::WaitsFor waits_for) noexcept;
  detail::ParkResult yield() noexcept;
  // The same, but right behind that one, if it is in the queue.
  detail::ParkResult yield_behind(detail::Task& place) noexcept;
  // Wakes a task that is parked, and known to be in the park that is to end: see waker.h.
  void end_park(detail::Task& task, detail::ParkResult result) noexcept {
    ++task.epoch;
    task.result = result;
    make_ready(task);
  }

  // For Turn: wakes as Waker::wake does, but the task runs next, and then the turn.
  bool wake_first(const detail::Waker& waker, detail::Task& turn) noexcept;
  // The same for one that is adopted and was not started.
  void start_first(detail::Task& task, detail::Task& turn) noexcept;
  // The same for one that something was thrown into: its park is interrupted, even if it was woken
  // and has not run; what was woken or has yielded leaves its place in the queue, if that is not
  // too far back. False, and nothing happens, if it is to stay where it is.
  bool interrupt_first(detail::Task& task, detail::Task& turn) noexcept;
  // For TaskOps::run of one that is no task: there is no current one from here on.
  void become_hub_work() noexcept { current_ = nullptr; }

  // Units of the running slice's budget; false: it is spent, yield before the attempt.
  bool charge() noexcept { return --slice_.budget > 0; }
  // A system call takes as long as some 32 messages, and counts as so many.
  void charge_system_call() noexcept { slice_.budget -= 32; }
  // How many messages one slice of an actor with that much mail may deal with: no fixed number, or
  // a receiver of many senders would fall behind without end.
  static constexpr std::size_t slice_for(std::size_t mail) {
    return mail / 2 > mail_slice ? mail / 2 : mail_slice;
  }
  // A receive loop may go on for the mail that is there, up to slice_for() it in one slice.
  bool extend_slice(std::size_t mail) noexcept;
  void set_budget(int budget) { whole_slice_.budget = budget; }
  // The running slice may have had the processor for too long: ask take_overdue(), before the
  // attempt. Never in a simulation.
  bool may_be_overdue() const noexcept { return overdue_slice_ != 0; }
  // It has had: give_way(), or end the slice. Housekeeping comes next, to see who else is ready.
  [[gnu::noinline]] bool take_overdue() noexcept;
  // As yield(), but behind what that housekeeping makes ready as well.
  detail::ParkResult give_way() noexcept;
  // The current slice, of a stackless task that has gone idle, was to end so.
  bool is_giving_way() const noexcept { return gives_way_; }
  // As activate(), for such a task.
  void activate_last(detail::Task& task) noexcept;
  // Any thread: the slice of that number, if it still runs, is to end at its next message or
  // blocking call.
  void end_slice(std::uint64_t number) noexcept {
    overdue_slice_ = static_cast<std::uint32_t>(number);
  }
  // Any thread: nobody has asked since whether that slice is to end.
  bool is_overdue(std::uint64_t number) const noexcept {
    return overdue_slice_ == static_cast<std::uint32_t>(number);
  }
  // Before the next slice.
  void housekeep_soon() noexcept { housekeep_at_ = look_at_ = 0; }
  // Any thread: the same within a few slices, if the hub is not just about to do it.
  void look_at_clock_soon() noexcept { look_at_ = 0; }

  // For on_stack(): calls the function, which must not throw, on a stack of the pool, where
  // blocking calls are refused.
  void call_on_stack(std::size_t bytes, void (*function)(void*) noexcept, void* argument);

  // The current task ends here and now, on its own stack, without unwinding. Its fiber stays as it
  // is.
  [[noreturn]] void abandon_current() noexcept;
  // The same for one that is parked, or ready with a stack. Waits that it is on stay where they are
  // and lose every wake.
  void abandon(detail::Task& task) noexcept;

  template <class F>
  void for_each_task(F&& f) {
    for (detail::Task* task = first_task_; task;) {
      detail::Task* next = task->next_in_hub;
      f(*task);
      task = next;
    }
  }
  std::size_t task_count() const { return task_count_; }
  // Any thread: about how many tasks live here.
  std::size_t load() const { return load_.load(std::memory_order_relaxed); }
  // Kills every task but the root and runs until they have ended or `grace` has passed; what is
  // left is abandoned. Returns how many were. Called on the root.
  std::size_t end_all_tasks(std::int64_t grace_nanoseconds);
  // Of a hub whose thread ends before some of its tasks: they are abandoned, so that whoever waits
  // for one elsewhere is told, and posts are refused from now on.
  void leave_behind() noexcept;
  // Parks the thread's own task, which calls it, until the last of the others has ended, of which
  // there may be none yet, or the deadline has come.
  void wait_until_alone(std::int64_t deadline);
  // Ends that wait if nobody else is here.
  void tell_if_alone() noexcept;
  // Those who wait until nobody is ready.
  detail::WaitQueue& idlers() { return idlers_; }

  // Counts of this hub. Any thread.
  struct Statistics {
    detail::Counter slices;
    detail::Counter housekeepings;
    detail::Counter sleeps;
    detail::Counter runners;
  };
  const Statistics& statistics() const { return statistics_; }
  // Any thread: when the last housekeeping began, in nanoseconds of the kernel's clock.
  std::int64_t housekept_at() const { return housekept_at_; }
  // Any thread: moves with each slice and each housekeeping.
  std::uint64_t progress() const { return statistics_.slices + statistics_.housekeepings; }
  const detail::StackPool& stacks() const { return stacks_; }
  // Of every task here that asks for no size. Not while another thread can look: before the hub is
  // one of several, or after. Tasks that have a stack keep it.
  void set_stack_size(std::size_t bytes);
  std::size_t stack_size() const { return stack_size_; }
  // Bounds of the stack that `task` has; both null without one.
  std::pair<const std::byte*, const std::byte*> stack_bounds(const detail::Task& task) const;

 private:
  friend struct detail::DebugLayout;
  friend struct detail::StallSnapshot;
  friend struct HubBinding;
  friend class detail::Waker;
  Hub();

  bool wake(const detail::Waker& waker, detail::ParkResult result) noexcept {
    detail::Task& task = waker.task();
    if (task.epoch != waker.epoch_ || task.state != detail::TaskState::parked) return false;
    end_park(task, result);
    return true;
  }

  // What is left of the running one.
  struct Slice {
    int budget = 0;
    int extension = 0;  // what mail may add; counted from the first that does
  };

  [[gnu::noinline]] static Hub& make_current();
  static void runner_entry(void* hub);
  [[noreturn]] void run_loop();
  [[gnu::always_inline]] detail::Task* pick() noexcept;
  [[gnu::noinline]] bool is_housekeeping_due() noexcept;
  detail::Task* next_simulated() noexcept;
  [[gnu::always_inline]] void run_fresh(detail::Task& task);
  [[gnu::noinline]] void switch_to_dedicated(detail::Task& task);
  [[gnu::noinline]] void leave_dedicated();
  [[gnu::always_inline]] void resume(detail::Task& task) noexcept;
  [[gnu::always_inline]] void switch_out(detail::Task& self) noexcept;
  void switch_to_driver() noexcept;
  void do_simulated_work();
  void cross() noexcept;
  static Hub* simulated_current() noexcept;
  static void cross_or_yield() noexcept;
  static const detail::CrossingHooks crossing_table;
  [[gnu::always_inline]] void start_slice(detail::Task& task) noexcept;
  void finish(detail::Task& task);
  void end_latecomers();
  void abandon_all() noexcept;
  void run_left_turns();
  void close_port() noexcept;
  void unlist(detail::Task& task) noexcept;
  void run_first(detail::Task& task, detail::Task& turn) noexcept;
  void leave_for_ever(detail::Task& task) noexcept;

  detail::Fiber& take_runner();
  detail::Fiber& make_runner(std::size_t stack_size);
  void destroy_fiber(detail::Fiber& fiber) noexcept;
  void destroy_retired() noexcept;

  void housekeeping();
  void drain_inbox();
  void deliver_all(detail::PostNode* node);
  void idle();
  void take_stock() noexcept;
  bool spin() noexcept;
  bool may_wait_for_ever() const;
  static void bind(Hub* hub) noexcept;  // the calling thread's; null: none

  // Hot: touched on every switch.
  detail::ReadyQueue ready_;
  detail::Task* current_ = nullptr;
  detail::Fiber* fiber_ = nullptr;   // the one that runs
  detail::Task* handoff_ = nullptr;  // for the runner that is switched to: run this first
  detail::ThreadState thread_;
  std::uint32_t id_ = 0;  // the port's number, where it is not on a line that other hubs write
  Slice slice_;
  Slice whole_slice_ = {default_budget, mail_slice};
  // The slice that the stall watch wants to end, perhaps over by now; 0: none. Of its number the
  // low half, which fits in beside the budgets: a word more, and these fields take a line more.
  detail::SharedWord<std::uint32_t> overdue_slice_ = 0;
  // So many slices; always 0 in a simulation. Between two housekeepings slices may become long:
  // from look_at_ on the clock is asked.
  detail::SharedWord<std::uint64_t> look_at_ = 0;
  std::uint64_t housekeep_at_ = 0;
  detail::Environment* environment_ = nullptr;
  detail::Fiber* idle_runners_ = nullptr;  // last-in first-out: warm
  int idle_runner_count_ = 0;
  int housekeeping_interval_ = 1;
  detail::Fiber* retired_ = nullptr;  // fibers whose stack goes back at the next housekeeping

  detail::Port& port_;
  detail::TickClock clock_;
  detail::SharedWord<std::int64_t> housekept_at_ = 0;
  std::int64_t polled_at_ = 0;
  std::int64_t mail_from_outside_at_ = 0;
  std::int64_t stock_taken_at_ = 0;
  bool is_slice_wanted_ = false;             // by the driver of a simulation
  bool has_run_task_ = false;                // in the present slice
  bool is_in_the_middle_ = false;            // of a slice: see cross()
  int shared_locks_ = 0;                     // SharedMutexes that its thread holds, in a simulation
  detail::PostNode* undelivered_ = nullptr;  // taken from the inbox, held back by a simulation
  detail::TimerWheel timers_;
  detail::ParkDeadline new_deadlines_;  // head of a ring
  std::int64_t interrupted_deadline_ = 0;
  std::unique_ptr<detail::Poller> poller_;
  detail::StackPool stacks_;
  detail::BlockPool blocks_;
  detail::Fiber thread_fiber_;
  detail::Task* root_ = nullptr;
  detail::Task* thread_task_ = nullptr;  // the thread's own stack; null under an environment
  detail::Task* first_task_ = nullptr;
  detail::Task* last_task_ = nullptr;
  std::size_t task_count_ = 0;
  std::size_t stack_size_ = detail::StackPool::default_size;
  std::atomic<std::size_t> load_{0};  // task_count_ at the last housekeeping
  std::shared_ptr<detail::HubGroup> group_;
  bool is_ending_ = false;
  bool gives_way_ = false;                // until the next housekeeping
  detail::Task* last_in_line_ = nullptr;  // ready, but in no queue before that
  bool wants_to_be_alone_ = false;        // the thread's own task is in wait_until_alone()
  std::unique_ptr<detail::HubExtension> extensions_[2];
  std::shared_ptr<Hold::Counter> holds_;
  Statistics statistics_;
  detail::WaitQueue idlers_;
};

inline detail::Task* Hub::next_alike() noexcept {
  detail::Task& done = *current_;
  // Housekeeping may be due (in a simulation it always is), another function, a stack that it has
  // or wants: the loop's matter.
  if (statistics_.slices >= look_at_ || done.stack_size != 0) return nullptr;
  if (done.fiber && done.fiber->is_dedicated) [[unlikely]]
    return nullptr;
  detail::Task* next = ready_.pop_front_if([&](const detail::Task& task) {
    return task.ops->run == done.ops->run && !task.fiber && task.stack_size == 0;
  });
  if (!next) return nullptr;
  if (done.fiber) done.fiber = nullptr;
  start_slice(*next);
  return next;
}

inline void Hub::start_slice(detail::Task& task) noexcept {
  task.state = detail::TaskState::running;
  current_ = &task;
  slice_ = whole_slice_;
  ++statistics_.slices;
}

namespace detail {

inline Waiting::Waiting(Task& task) noexcept : waker_(task, task.epoch, &task.hub->port()) {}

inline bool Waker::wake(ParkResult result) const noexcept {
  return task_ && task_->hub->wake(*this, result);
}

// Start of every call documented "Blocks.", where the hub is at hand; see park.h.
Task& enter_blocking_call_slowly(Hub& hub);
inline Task& enter_blocking_call(Hub& hub) {
  Task* self = hub.current_task();
  if (!self || (self->attention & attention::refuses) != 0 || !hub.charge() || hub.may_be_overdue())
      [[unlikely]]
    return enter_blocking_call_slowly(hub);
  return *self;
}

}  // namespace detail
}  // namespace greenroom
