#include "greenroom/scheduler/hub/interrupt.h"

#include <cassert>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>

#include "greenroom/scheduler/hub/expiry.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/report.h"
#include "greenroom/scheduler/task/describe.h"
#include "greenroom/scheduler/trace/stack_trace.h"
#include "greenroom/scheduler/unwind/unwind_probe.h"

namespace greenroom {

namespace {
// A body that has swallowed its exit this often is not resumed any more.
constexpr std::uint16_t exit_throw_limit = 1000;
}  // namespace

Uncancellable::Uncancellable() {
  if (Hub* hub = Hub::current_if_any()) task_ = hub->current_task();
  if (task_) ++task_->uncancellable;
}

Uncancellable::~Uncancellable() {
  if (task_) --task_->uncancellable;
}

namespace detail {

Interrupts& interrupts_of(Task& task) {
  if (!task.interrupts) task.interrupts = new Interrupts;
  return *task.interrupts;
}

namespace {

void end_part(Task& task, std::unique_ptr<TaskPart> Interrupts::*part, TaskPart::End end) noexcept {
  while (task.interrupts && task.interrupts->*part) {
    const std::unique_ptr<TaskPart> ending = std::move(task.interrupts->*part);
    ending->end(task, end);
  }
}

}  // namespace

void end_locals(Task& task, TaskPart::End end) noexcept {
  end_part(task, &Interrupts::locals, end);
}

void end_stand_in(Task& task, TaskPart::End end) noexcept {
  end_part(task, &Interrupts::stand_in, end);
}

// While task.interrupts is still there for them.
void end_interrupts(Task& task) noexcept {
  end_locals(task);
  end_stand_in(task);
  end_detached_timeouts(task);
  delete std::exchange(task.interrupts, nullptr);
}

bool can_throw_into(const Task& task) noexcept {
  if (task.state == TaskState::parked) return task.park->may_throw;
  return task.uncancellable == 0;
}

namespace {

StackBounds bounds_above(Task& task, const UnwindContext& context) noexcept {
  StackBounds bounds{.low = context.sp};
  if (const auto [low, high] = task.hub->stack_bounds(task); high)
    bounds.high = reinterpret_cast<std::uintptr_t>(high);
  return bounds;
}

// What is pending, and may be thrown.
struct Throwable {
  enum class Kind : std::uint8_t { nothing, exit, kill, timeout };
  Kind kind = Kind::nothing;
  ExpiringScope* scope = nullptr;  // the timeout's
};

// The first of what is pending that would not be lost in std::terminate if it were thrown from
// there. What is held off does not hold off what comes after it: a clean-up may have timeouts of
// its own.
Throwable find_throwable(Task& task, const UnwindContext& thrower) noexcept {
  const Sieve all{.function = reinterpret_cast<std::uintptr_t>(&run_bounded)};
  const StackBounds bounds = bounds_above(task, thrower);
  if ((task.attention & attention::exiting) != 0 &&
      !would_terminate(thrower, bounds, typeid(ActorExit), nullptr, all))
    return {Throwable::Kind::exit};
  if (!task.interrupts) return {};
  const Interrupts& pending = *task.interrupts;
  if ((task.attention & attention::kill) != 0) {
    const std::exception_ptr& exception = pending.kills.front();
    // libstdc++'s exception_ptr is the object's address, and offers no other way to it.
    void* object = nullptr;
    static_assert(sizeof exception == sizeof object);
    std::memcpy(&object, static_cast<const void*>(&exception), sizeof object);
    if (!would_terminate(thrower, bounds, *exception.__cxa_exception_type(), object, all))
      return {Throwable::Kind::kill};
  }
  for (ExpiringScope* scope = nullptr; (scope = next_expired(pending, scope));) {
    Sieve others = all;
    others.taking_frame = scope->frame();
    if (!would_terminate(thrower, bounds, typeid(TimeoutError), nullptr, others))
      return {Throwable::Kind::timeout, scope};
  }
  return {};
}

}  // namespace

bool may_interrupt(Task& task, const UnwindContext& primitive) noexcept {
  // The primitive itself is passed over: its call of park() does not throw, so the compiler has
  // written nothing about an exception there.
  UnwindContext caller = primitive;
  return !unwind_step(caller, bounds_above(task, primitive)) ||
         find_throwable(task, caller).kind != Throwable::Kind::nothing;
}

void interrupt_park(Task& task) noexcept {
  if (task.state == TaskState::parked && task.park->may_throw &&
      may_interrupt(task, task.park->primitive)) {
    task.hub->end_park(task, ParkResult::interrupted);
  }
}

void add_kill(Task& task, std::exception_ptr exception) {
  assert(task.hub == Hub::current_if_any());
  interrupts_of(task).kills.push_back(std::move(exception));
  task.attention |= attention::kill;
}

void throw_into(Task& task, std::exception_ptr exception) {
  add_kill(task, std::move(exception));
  interrupt_park(task);
}

namespace {

// Its exit was thrown before and swallowed: others run first, so that a loop that swallows it for
// ever cannot hold the hub.
[[gnu::noinline]] void delay_exit(Task& self) {
  if (self.exit_throws >= exit_throw_limit) {
    const StackTrace here = capture_stack_trace();
    write_report("greenroom: " + describe(self) + " has swallowed its exit " +
                     std::to_string(self.exit_throws) +
                     " times and is abandoned: it is not resumed, its locals are not destroyed. A "
                     "catch (...) around a blocking call must rethrow.\n",
                 &here);
    self.hub->abandon_current();
  }
  self.hub->yield();
}

}  // namespace

// Throws from here, not from functions of its own: each frame between a throw and its handler costs
// the unwinder 180 ns.
void throw_pending() {
  Task& self = *Hub::current_if_any()->current_task();
  if ((self.attention & attention::throws) == 0) [[likely]]
    return;
  if (self.uncancellable > 0 || std::uncaught_exceptions() > 0) return;
  const Throwable throwable = find_throwable(self, caller_of(__builtin_frame_address(0)));
  switch (throwable.kind) {
    case Throwable::Kind::nothing:
      return;
    case Throwable::Kind::exit:
      if (self.exit_throws > 0) delay_exit(self);
      ++self.exit_throws;
      throw self.extension->extension_ops->exit_of(self);
    case Throwable::Kind::kill: {
      Interrupts& pending = *self.interrupts;
      std::exception_ptr exception = std::move(pending.kills.front());
      pending.kills.pop_front();
      if (pending.kills.empty()) self.attention &= static_cast<std::uint16_t>(~attention::kill);
      std::rethrow_exception(std::move(exception));
    }
    case Throwable::Kind::timeout:
      throw_expired(*throwable.scope);
  }
}

}  // namespace detail
}  // namespace greenroom
