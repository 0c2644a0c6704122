// How a hub begins and ends: with its thread, or with the simulation that drives it.
#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/hub_group.h"
#include "greenroom/scheduler/hub/hub_observer.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/hub/on_stack.h"
#include "greenroom/scheduler/task/describe.h"
#include "greenroom/scheduler/trace/overflow_report.h"
#include "greenroom/scheduler/trace/report_writer.h"
#include "greenroom/scheduler/trace/throw_hook.h"

namespace greenroom {

using detail::awake_hubs;
using detail::bound_hub;
using detail::Fiber;
using detail::Task;

namespace {

constexpr std::int64_t thread_end_grace = 5'000'000'000;

// A timer's sequence is unique in the process: an error that says whose it is may go to another
// hub.
constexpr std::uint64_t timers_of_a_hub = std::uint64_t{1} << 40;
std::atomic<std::uint64_t> hubs_made{0};

void root_run(Task&) { std::abort(); }
void root_destroy(Task& task) noexcept { delete &task; }
void root_abandoned(Task&) noexcept {}
void root_stop(Task&) noexcept {}
std::string root_describe(const Task&) { return "root greenlet"; }

// What the hub's thread reports: overflows of stacks, and where an exception was thrown.
void install_reports() {
  detail::install_overflow_report_for_this_thread();
  detail::set_throw_capture(true);
}

void tell_of_start(Hub& hub) {
  if (detail::hub_observer) detail::hub_observer->made(hub);
}

void tell_of_end(Hub& hub) noexcept {
  if (detail::hub_observer) detail::hub_observer->ended(hub);
}

constexpr detail::TaskOps root_ops{&root_run,      &root_destroy, &root_abandoned,
                                   &root_describe, &root_stop,    nullptr};

}  // namespace

// Owns the implicit hub of a thread and ends it with the thread.
struct HubBinding {
  std::unique_ptr<Hub> hub;

  ~HubBinding() {
    if (!hub) return;
    const Task* const current = hub->current_task();
    if (current != &hub->root() || (current->attention & detail::attention::on_stack) != 0) {
      detail::write_in_order(
          "greenroom: std::exit() was called inside " +
          (current ? detail::describe(*current) : "hub work") +
          "; its locals and those of every other greenlet are not destroyed. Return from main or "
          "run(), or stop() the actor, instead.\n");
      // This very stack belongs to the hub: leave everything to the end of the process.
      tell_of_end(*hub);
      static_cast<void>(hub.release());
      return;
    }
    const std::size_t abandoned = hub->end_all_tasks(thread_end_grace);
    // What this thread's greenlets have to say comes before what is said after its end.
    detail::wait_for_reports();
    if (abandoned > 0) {
      detail::write_in_order("greenroom: " + std::to_string(abandoned) +
                             " greenlets did not end with their thread and were abandoned\n");
      tell_of_end(*hub);
      hub.release()->leave_behind();  // stacks of its may be looked at for ever
    }
    Hub::bind(nullptr);
  }

  static Hub& make() {
    // Before the binding, and so destroyed after it, as the end of a hub runs greenlets.
    detail::install_overflow_report_for_this_thread();
    static thread_local HubBinding binding;
    detail::refuse_hub_on_stack();
    if (binding.hub)
      throw std::logic_error("greenroom: a blocking call after the thread's hub has ended");
    binding.hub.reset(new Hub);
    return *binding.hub;
  }
};

Hub& Hub::make_current() { return HubBinding::make(); }

Hub::Hub()
    : port_(detail::Port::open(*this)),
      housekept_at_(clock_.synchronize()),
      timers_(housekept_at_, timers_of_a_hub * hubs_made.fetch_add(1)),
      poller_(std::make_unique<detail::FutexPoller>(port_)),
      holds_(std::make_shared<Hold::Counter>()) {
  id_ = port_.number();
  holds_->port = &port_;
  bind(this);
  fiber_ = &thread_fiber_;
  thread_task_ = root_ = new Task(root_ops);
  root_->fiber = &thread_fiber_;
  root_->hub = this;
  adopt(*root_);
  start_slice(*root_);
  awake_hubs.fetch_add(1);
  install_reports();
  tell_of_start(*this);
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
  tell_of_start(*this);
}

Hub::~Hub() {
  tell_of_end(*this);
  // Posts to a hub that is ending are delivered, so that what they own is released and who waits is
  // told.
  Hub* const outer = bound_hub;
  bind(this);
  current_ = nullptr;
  is_ending_ = true;
  if (thread_task_ && thread_task_->extension)
    thread_task_->extension->extension_ops->ended(*thread_task_);
  // Descriptors are not watched any more; what starts so late may still sleep.
  poller_ = std::make_unique<detail::FutexPoller>(port_);
  deliver_all(undelivered_);
  while (detail::PostNode* node = port_.take_all()) {
    deliver_all(node);
    end_latecomers();
  }
  close_port();
  end_latecomers();
  abandon_all();  // those that came without end
  run_left_turns();
  destroy_retired();
  while (Fiber* fiber = idle_runners_) {
    idle_runners_ = fiber->next;
    destroy_fiber(*fiber);
  }
  if (thread_task_) {
    unlist(*thread_task_);
    if (thread_task_->interrupts) end_interrupts(*thread_task_);
    drop_reference(*thread_task_);  // a greenlet of another hub may still think that it joins it
  }
  awake_hubs.fetch_sub(1);
  bind(outer);
}

void Hub::leave_behind() noexcept {
  current_ = nullptr;
  is_ending_ = true;
  abandon_all();
  close_port();
  abandon_all();  // those that were on their way here
  run_left_turns();
  awake_hubs.fetch_sub(1);
}

void Hub::close_port() noexcept {
  deliver_all(port_.close());
  // Only now: as long as it was in, who waits for an answer from here is not told that none can
  // come.
  if (const auto group = group_) group->remove(*this);
  holds_->port = nullptr;
}

void Hub::bind(Hub* hub) noexcept {
  bound_hub = hub;
  detail::thread_block_pool = hub ? &hub->blocks_ : nullptr;
  detail::set_time_teller(hub ? []() noexcept { return bound_hub->now(); } : detail::TimeTeller{});
  if (hub) hub->thread_ = detail::thread_state();
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

void Hub::join(std::shared_ptr<detail::HubGroup> group) {
  group_ = std::move(group);
  port_.set_group(group_.get());
}

Hold Hub::hold_for_news_from(std::uint32_t port) {
  const detail::Port* there = detail::Port::at(port);
  return group_ && there && there->group() == group_.get() ? Hold() : hold();
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
    wait_until_alone(std::min(deadline, now() + 20'000'000));
  }
  return task_count_ - 1;
}

}  // namespace greenroom
