// attempt_until: the one loop of all operations that may have to wait for their descriptor.
//
// Who calls it has begun with enter_blocking_call(): what is pending was thrown and the budget was
// charged before the first attempt, so that nothing that has succeeded can be lost.
#pragma once

#include <algorithm>
#include <chrono>

#include "greenroom/io/poll/descriptor.h"
#include "greenroom/io/poll/task_waiter.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::detail {

// An operation of the current task, before its first attempt.
struct Operation {
  const char* name;  // a literal: the reason of its parks
  Task& task;
  Descriptor& descriptor;
  Direction direction;
  // It takes no longer than this, whatever its wait.
  std::chrono::nanoseconds limit = std::chrono::nanoseconds::max();

  // Looks at the clock if the wait or the limit needs it.
  std::int64_t deadline(Wait wait) const {
    const std::int64_t deadline = wait.to_deadline();
    if (limit == std::chrono::nanoseconds::max()) return deadline;
    return std::min(deadline, Wait(limit).to_deadline());
  }
};

// Makes the attempt, which must not park, again and again until it succeeds: until what it returns
// is true. **Blocks.** between two attempts, until the descriptor may be ready or the deadline
// comes. One attempt is made after the deadline, so what has come in its round beats it; a wait
// that polls is one attempt. Returns what the last attempt did: false, or an empty optional, if the
// wait was over first. Throws what the attempt throws, what is pending, ConcurrentUse if somebody
// else waits in that direction, and IoError if the descriptor ends meanwhile: then it is gone.
//
// `await` replaces the waiting between two attempts where readiness is not always what is missing:
// it calls the waiter's wait() or pause(), and returns what that did.
template <class Attempt, class Await>
auto attempt_until(const Operation& operation, Wait wait, Attempt attempt, Await await) {
  Descriptor& descriptor = operation.descriptor;
  descriptor.prepare(operation.direction, wait);
  if (wait.is_poll()) descriptor.look_again(operation.direction);
  if (auto result = attempt()) return result;
  if (wait.is_poll()) return decltype(attempt())();
  TaskWaiter waiter(descriptor, operation.direction, operation.task, operation.deadline(wait));
  for (;;) {
    const bool is_in_time = await(waiter);
    if (!is_in_time) descriptor.look_again(operation.direction);
    if (auto result = attempt()) return result;
    if (!is_in_time) return decltype(attempt())();
  }
}

template <class Attempt>
auto attempt_until(const Operation& operation, Wait wait, Attempt attempt) {
  return attempt_until(operation, wait, attempt,
                       [&](TaskWaiter& waiter) { return waiter.wait(operation.name); });
}

}  // namespace greenroom::detail
