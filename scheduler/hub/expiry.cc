#include "greenroom/scheduler/hub/expiry.h"

#include <cassert>
#include <stdexcept>
#include <utility>

#include "greenroom/scheduler/hub/hub.h"

namespace greenroom::detail {

namespace {

Task& timed_task(const Hub& hub) {
  Task* task = hub.current_task();
  if (!task) throw std::logic_error("greenroom: a Timeout in hub work, where nothing blocks");
  return *task;
}

}  // namespace

// Few stores and no call: see TimerWheel.
ExpiringScope::ExpiringScope(std::chrono::nanoseconds duration) : kind_(Kind::once) {
  fire = &on_fire;
  Hub* const hub = Hub::current_if_any();
  Task* const task = hub ? hub->current_task() : nullptr;
  std::int64_t now = 0;
  if (task && task->interrupts && hub->read_clock(now)) [[likely]] {
    task_ = task;
    arm(hub->timers(), add_saturated(now, duration.count()));
  } else {
    prepare(duration);
  }
}

void ExpiringScope::prepare(std::chrono::nanoseconds duration) {
  Hub& hub = Hub::current();
  task_ = &timed_task(hub);
  interrupts_of(*task_);
  arm(hub.timers(), add_saturated(hub.now(), duration.count()));
}

inline void ExpiringScope::arm(TimerWheel& timers, std::int64_t at) {
  if (at != no_deadline) [[likely]] {
    timers.arm(*this, at);
  } else {
    sequence = timers.take_sequence();
  }
}

// The hub is not asked for by way of the task, which may be cold memory: what is stored by way of
// it would hold up what comes after.
void ExpiringScope::take_back() noexcept {
  assert(task_->hub == Hub::current_if_any());
  if (is_armed()) [[likely]]
    return Hub::current_if_any()->timers().cancel(*this);
  if (kind_ != Kind::deadline) forget();
}

void ExpiringScope::forget() noexcept {
  has_fired_ = false;
  for (TimerNode** link = &task_->interrupts->fired; *link; link = &(*link)->next) {
    if (*link != this) continue;
    *link = next;
    break;
  }
  if (!task_->interrupts->fired)
    task_->attention &= static_cast<std::uint16_t>(~attention::timeout);
}

void ExpiringScope::on_fire(TimerNode& node) noexcept {
  auto& scope = static_cast<ExpiringScope&>(node);
  Task& task = *scope.task_;
  scope.has_fired_ = true;
  if (scope.kind_ == Kind::deadline) {
    task.attention |= attention::deadline;
  } else {
    TimerNode** link = &task.interrupts->fired;
    while (*link) link = &(*link)->next;
    *link = &scope;
    scope.next = nullptr;
    task.attention |= attention::timeout;
  }
  interrupt_park(task);
}

DeadlineScope::DeadlineScope(std::int64_t deadline)
    : ExpiringScope(Kind::deadline, timed_task(Hub::current())), at_(deadline) {
  Interrupts& interrupts = interrupts_of(task());
  outer_ = std::exchange(interrupts.deadlines, this);
  task().attention |= attention::inherits;
  arm(task().hub->timers(), at_);
}

DeadlineScope::~DeadlineScope() {
  task().interrupts->deadlines = outer_;
  bool any_fired = false;
  for (const DeadlineScope* scope = outer_; scope; scope = scope->outer_)
    any_fired |= scope->has_fired_;
  std::uint16_t over = any_fired ? 0 : attention::deadline;
  if (!outer_) over |= attention::inherits;
  task().attention &= static_cast<std::uint16_t>(~over);
}

namespace {

// A run_bounded's.
class BoundedScope : public ExpiringScope {
 public:
  BoundedScope(std::chrono::nanoseconds duration, const void* frame)
      : ExpiringScope(duration), frame_(reinterpret_cast<std::uintptr_t>(frame)) {
    set_bounded();
  }
  std::uintptr_t frame() const { return frame_; }

 private:
  std::uintptr_t frame_;
};

}  // namespace

bool run_bounded(std::chrono::nanoseconds duration, void (*body)(void* data), void* data) {
  // Asking for its address makes this function keep a frame pointer, whatever the compiler flags.
  const BoundedScope scope(duration, __builtin_frame_address(0));
  try {
    body(data);
    return true;
  } catch (const TimeoutError& error) {
    if (error.id() != scope.id()) throw;
    return false;
  }
}

std::uintptr_t ExpiringScope::frame() const noexcept {
  return kind_ == Kind::bounded ? static_cast<const BoundedScope*>(this)->frame() : 0;
}

ExpiringScope* next_expired(const Interrupts& pending, ExpiringScope* last) noexcept {
  DeadlineScope* deadline = pending.deadlines;
  if (!last || last->kind() != ExpiringScope::Kind::deadline) {
    if (TimerNode* next = last ? last->next : pending.fired)
      return static_cast<ExpiringScope*>(next);
  } else {
    deadline = static_cast<DeadlineScope*>(last)->outer_;
  }
  while (deadline && !deadline->has_fired()) deadline = deadline->outer_;
  return deadline;
}

void throw_expired(ExpiringScope& scope) {
  const std::uint64_t id = scope.id();
  if (scope.kind() != ExpiringScope::Kind::deadline) scope.disarm();
  throw TimeoutError(id);
}

std::int64_t inherited_deadline() noexcept {
  Hub* hub = Hub::current_if_any();
  const Task* task = hub ? hub->current_task() : nullptr;
  if (!task || !task->interrupts) return no_deadline;
  std::int64_t nearest = no_deadline;
  for (const DeadlineScope* scope = task->interrupts->deadlines; scope; scope = scope->outer_) {
    if (scope->at_ < nearest) nearest = scope->at_;
  }
  return nearest;
}

Interrupts::Interrupts() = default;
Interrupts::~Interrupts() = default;

void end_detached_timeouts(Task& task) noexcept {
  if (task.interrupts) task.interrupts->detached.clear();
}

}  // namespace greenroom::detail
