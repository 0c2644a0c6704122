#include "greenroom/scheduler/timeout.h"

#include <atomic>
#include <memory>
#include <vector>

#include "greenroom/scheduler/hub.h"

namespace greenroom {

namespace detail {

namespace {

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

Task& timed_task() {
  Task* task = Hub::current().current_task();
  if (!task) throw std::logic_error("greenroom: a Timeout in hub work, where nothing blocks");
  return *task;
}

}  // namespace

ExpiringScope::ExpiringScope(Kind scope_kind, std::int64_t deadline)
    : task_(&timed_task()), id_(next_id()), at_(deadline), kind_(scope_kind) {
  fire = &on_fire;
  if (kind_ == Kind::deadline) {
    Interrupts& interrupts = interrupts_of(*task_);
    next_ = interrupts.deadlines;
    interrupts.deadlines = this;
  } else {
    interrupts_of(*task_);
  }
  if (at_ != no_deadline) task_->hub->timers().arm(*this, at_);
}

ExpiringScope::~ExpiringScope() {
  disarm();
  if (kind_ != Kind::deadline) return;
  Interrupts& interrupts = *task_->interrupts;
  interrupts.deadlines = next_;
  bool any_fired = false;
  for (const ExpiringScope* scope = next_; scope; scope = scope->next_) any_fired |= scope->fired_;
  if (!any_fired) task_->attention &= static_cast<std::uint16_t>(~attention::deadline);
}

void ExpiringScope::disarm() noexcept {
  if (is_armed()) task_->hub->timers().cancel(*this);
  if (kind_ == Kind::deadline || !fired_) return;
  fired_ = false;
  for (ExpiringScope** link = &task_->interrupts->fired; *link; link = &(*link)->next_) {
    if (*link != this) continue;
    *link = next_;
    break;
  }
  if (!task_->interrupts->fired)
    task_->attention &= static_cast<std::uint16_t>(~attention::timeout);
}

void ExpiringScope::on_fire(TimerNode& node) noexcept {
  auto& scope = static_cast<ExpiringScope&>(node);
  Task& task = *scope.task_;
  scope.fired_ = true;
  if (scope.kind_ == Kind::deadline) {
    task.attention |= attention::deadline;
  } else {
    ExpiringScope** link = &task.interrupts->fired;
    while (*link) link = &(*link)->next_;
    *link = &scope;
    scope.next_ = nullptr;
    task.attention |= attention::timeout;
  }
  interrupt_park(task);
}

void throw_expired(Task& self) {
  if (ExpiringScope* scope = self.interrupts->fired) {
    scope->disarm();
    throw TimeoutError(scope->id_);
  }
  for (const ExpiringScope* scope = self.interrupts->deadlines; scope; scope = scope->next_) {
    if (scope->fired_) throw TimeoutError(scope->id_);
  }
}

std::int64_t inherited_deadline() noexcept {
  Hub* hub = Hub::current_if_any();
  const Task* task = hub ? hub->current_task() : nullptr;
  if (!task || !task->interrupts) return no_deadline;
  std::int64_t nearest = no_deadline;
  for (const ExpiringScope* scope = task->interrupts->deadlines; scope; scope = scope->next_) {
    if (scope->at_ < nearest) nearest = scope->at_;
  }
  return nearest;
}

}  // namespace detail

namespace {

std::int64_t deadline_after(std::chrono::nanoseconds duration) {
  return detail::add_saturated(detail::now_nanoseconds(), duration.count());
}

}  // namespace

Timeout::Timeout(std::chrono::nanoseconds duration)
    : scope_(detail::ExpiringScope::Kind::once, deadline_after(duration)) {}

TimerRef Timeout::start_detached(std::chrono::nanoseconds duration) {
  auto scope = std::make_unique<detail::ExpiringScope>(detail::ExpiringScope::Kind::once,
                                                       deadline_after(duration));
  const TimerRef ref(scope->id());
  detail::interrupts_of(*Hub::current().current_task()).detached.push_back(std::move(scope));
  return ref;
}

namespace detail {

Interrupts::Interrupts() = default;
Interrupts::~Interrupts() = default;

void end_detached_timeouts(Task& task) noexcept {
  if (task.interrupts) task.interrupts->detached.clear();
}

}  // namespace detail
}  // namespace greenroom
