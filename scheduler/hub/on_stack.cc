#include "greenroom/scheduler/hub/on_stack.h"

#include <exception>
#include <stdexcept>

#include "greenroom/scheduler/fiber/stack.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/trace/overflow_report.h"

namespace greenroom::detail {

namespace {

// What calls need on a thread without a hub: made by the outermost of them.
struct WithoutHub {
  StackPool stacks;
  Fiber thread;
};
constinit thread_local WithoutHub* without_hub = nullptr;

// In the frame of the caller; the function's exception goes from one stack to the other in it.
struct Call {
  void (*function)(void*);
  void* argument;
  std::exception_ptr exception = {};

  static void run(void* raw) noexcept {
    auto& self = *static_cast<Call*>(raw);
    try {
      self.function(self.argument);
    } catch (...) {
      self.exception = std::current_exception();
    }
  }
};

// A stack of the pool, for as long as this lives.
class LentStack {
 public:
  LentStack(StackPool& pool, std::size_t bytes) : pool_(pool), stack_(pool.acquire(bytes)) {}
  ~LentStack() { pool_.release_deep(stack_); }
  LentStack(const LentStack&) = delete;
  LentStack& operator=(const LentStack&) = delete;
  const Stack& get() const { return stack_; }

 private:
  StackPool& pool_;
  const Stack stack_;
};

// While this lives, calls that may park are refused.
class NoParking {
 public:
  explicit NoParking(Task* task) : task_(task) {
    was_set_ = task_ && (task_->attention & attention::on_stack) != 0;
    if (task_) task_->attention |= attention::on_stack;
  }
  ~NoParking() {
    if (task_ && !was_set_) task_->attention &= static_cast<std::uint16_t>(~attention::on_stack);
  }
  NoParking(const NoParking&) = delete;
  NoParking& operator=(const NoParking&) = delete;

 private:
  Task* task_;  // null: hub work, in which nothing parks anyway
  bool was_set_;
};

void call_without_hub(std::size_t bytes, Call& call) {
  if (without_hub) {
    const LentStack stack(without_hub->stacks, StackPool::size_with_room(bytes));
    without_hub->thread.call_on(stack.get(), &Call::run, &call);
    return;
  }
  install_overflow_report_for_this_thread();
  WithoutHub made;
  const LentStack stack(made.stacks, StackPool::size_with_room(bytes));
  without_hub = &made;
  made.thread.call_on(stack.get(), &Call::run, &call);
  without_hub = nullptr;
}

}  // namespace

// It would be a hub whose root greenlet stands on a stack that is soon gone.
void refuse_hub_on_stack() {
  if (!without_hub) return;
  throw std::logic_error(
      "greenroom: a call in on_stack() that needs a hub, on a thread that has none; nothing may "
      "park "
      "there, and for what does not, call green::get_hub() before on_stack()");
}

void throw_on_stack() {
  throw std::logic_error(
      "greenroom: a blocking call in on_stack(), whose function must not park; return from it "
      "first, or give the actor a stack_size of its own");
}

void run_on_stack(std::size_t bytes, void (*function)(void*), void* argument) {
  check_stack_size("on_stack", bytes);
  Call call{function, argument};
  if (Hub* hub = Hub::current_if_any()) {
    hub->call_on_stack(bytes, &Call::run, &call);
  } else {
    call_without_hub(bytes, call);
  }
  if (call.exception) std::rethrow_exception(std::move(call.exception));
}

}  // namespace greenroom::detail

namespace greenroom {

void Hub::call_on_stack(std::size_t bytes, void (*function)(void*) noexcept, void* argument) {
  const detail::LentStack stack(
      stacks_, bytes == 0 ? stack_size_ : detail::StackPool::size_with_room(bytes));
  const detail::NoParking no_parking(current_);
  // Hub work of a simulation runs on the driver's stack.
  detail::Fiber& fiber = fiber_ ? *fiber_ : thread_fiber_;
  fiber.call_on(stack.get(), function, argument);
}

}  // namespace greenroom
