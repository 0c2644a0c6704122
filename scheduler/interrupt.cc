#include "greenroom/scheduler/interrupt.h"

#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <typeinfo>

#include "greenroom/scheduler/dump.h"
#include "greenroom/scheduler/hub.h"
#include "greenroom/scheduler/timeout.h"
#include "greenroom/scheduler/unwind_probe.h"

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

// Would what is pending be lost in std::terminate if it were thrown from there?
bool would_terminate_from(Task& task, const UnwindContext& thrower) noexcept {
  const std::type_info* type = &typeid(TimeoutError);
  void* object = nullptr;
  if ((task.attention & attention::exiting) != 0) {
    type = &typeid(ActorExit);
  } else if ((task.attention & attention::kill) != 0) {
    const std::exception_ptr& exception = task.interrupts->kills.front();
    type = exception.__cxa_exception_type();
    // libstdc++'s exception_ptr is the object's address, and offers no other way to it.
    static_assert(sizeof exception == sizeof object);
    std::memcpy(&object, static_cast<const void*>(&exception), sizeof object);
  }
  return would_terminate(thrower, bounds_above(task, thrower), *type, object);
}

}  // namespace

bool would_interrupt_terminate(Task& task, const UnwindContext& primitive) noexcept {
  // The primitive itself is passed over: its call of park() does not throw, so the compiler has
  // written nothing about an exception there.
  UnwindContext caller = primitive;
  return unwind_step(caller, bounds_above(task, primitive)) && would_terminate_from(task, caller);
}

void interrupt_park(Task& task) noexcept {
  if (task.state == TaskState::parked && task.park->may_throw &&
      !would_interrupt_terminate(task, task.park->primitive)) {
    task.hub->wake(task, task.epoch, ParkResult::interrupted);
  }
}

void throw_into(Task& task, std::exception_ptr exception) {
  assert(task.hub == Hub::current_if_any());
  interrupts_of(task).kills.push_back(std::move(exception));
  task.attention |= attention::kill;
  interrupt_park(task);
}

namespace {

// Its exit was thrown before and swallowed: others run first, so that a loop that swallows it for
// ever cannot hold the hub.
[[gnu::noinline]] void delay_exit(Task& self) {
  if (self.exit_throws >= exit_throw_limit) {
    std::fprintf(stderr,
                 "greenroom: %s has swallowed its exit %u times and is abandoned: it is not "
                 "resumed, its locals are not "
                 "destroyed. A catch (...) around a blocking call must rethrow.\n%s",
                 describe(self).c_str(), unsigned{self.exit_throws}, current_stack_text().c_str());
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
  if (would_terminate_from(self, caller_of(__builtin_frame_address(0)))) return;
  if ((self.attention & attention::exiting) != 0) {
    if (self.exit_throws > 0) delay_exit(self);
    ++self.exit_throws;
    throw self.extension->extension_ops->exit_of(self);
  }
  Interrupts& pending = *self.interrupts;
  if ((self.attention & attention::kill) != 0) {
    std::exception_ptr exception = std::move(pending.kills.front());
    pending.kills.pop_front();
    if (pending.kills.empty()) self.attention &= static_cast<std::uint16_t>(~attention::kill);
    std::rethrow_exception(std::move(exception));
  }
  throw_expired(self);
}

}  // namespace detail
}  // namespace greenroom
