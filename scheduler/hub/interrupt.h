// Exceptions from outside: what they are, when they are thrown, and how to hold them off.
//
// TimeoutError, GreenletExit and ActorExit do not derive from std::exception, so that `catch (const
// std::exception&)` does not eat them; `catch (...)` without a rethrow does, and the next blocking
// call throws again if the actor is exiting. They are thrown by throw_pending() only, and never
// while an exception unwinds, in an Uncancellable scope, or where a function that must not throw (a
// destructor, say) would turn them into std::terminate: then they stay pending.
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "greenroom/scheduler/task/task.h"
#include "greenroom/scheduler/unwind/stack_walk.h"

namespace greenroom {

class ExitReason;

// A Timeout or a deadline has passed. Timeout::is_mine tells which.
class TimeoutError {
 public:
  explicit TimeoutError(std::uint64_t id = 0) : id_(id) {}
  std::uint64_t id() const { return id_; }
  const char* what() const { return "timed out"; }

 private:
  std::uint64_t id_;
};

// What unwinds an actor that is to exit: thrown by stop(), and by every blocking call of an actor
// that has accepted an exit.
class ActorExit {
 public:
  explicit ActorExit(std::shared_ptr<const ExitReason> reason) : reason_(std::move(reason)) {}
  // Why. Needs actors.h.
  const ExitReason& reason() const { return *reason_; }

 private:
  std::shared_ptr<const ExitReason> reason_;
};

// Holds kills, exits and timeouts off until it ends: the next blocking call after it throws them.
// For clean-up code that must not be cut short; bound what it waits for by a deadline of its own.
class Uncancellable {
 public:
  [[nodiscard]] Uncancellable();
  ~Uncancellable();
  Uncancellable(const Uncancellable&) = delete;
  Uncancellable& operator=(const Uncancellable&) = delete;

 private:
  detail::Task* task_ = nullptr;
};

namespace green {

// What kill() throws by default: the greenlet ends, successfully, with nothing to report.
struct GreenletExit {};

// Thrown in the root greenlet when nothing can ever wake it: nothing is ready, armed, watched or
// held on its hub or, under run(), on any hub of the run. What another thread is going to send, set
// or release is not seen from here: a Hold tells, which is taken on the hub before that thread
// starts and lives until it has acted. what() lists every parked greenlet.
struct LoopExit : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace green

namespace detail {

class DeadlineScope;
class ExpiringScope;
struct TimerNode;

// Something that few tasks have, that the hub does not know, and that ends with its task.
struct TaskPart {
  TaskPart() = default;
  virtual ~TaskPart() = default;
  TaskPart(const TaskPart&) = delete;
  TaskPart& operator=(const TaskPart&) = delete;
  // On the task's hub. The task has ended, in its place, where destructors may park; or is
  // abandoned, where they may not. It is not in `Interrupts` any more: there may be another one.
  enum class End : std::uint8_t { of_life, abandoned };
  virtual void end(Task& task, End end) noexcept = 0;
};

// What is pending for one task, and what else few tasks have.
struct Interrupts {
  Interrupts();
  ~Interrupts();
  std::deque<std::exception_ptr> kills;  // thrown one at a time, oldest first
  TimerNode* fired = nullptr;          // timeouts that have fired and were not thrown, oldest first
  DeadlineScope* deadlines = nullptr;  // the task's with_deadline scopes, innermost first
  std::vector<std::unique_ptr<ExpiringScope>> detached;
  std::unique_ptr<TaskPart> locals;    // green::local
  std::unique_ptr<TaskPart> stand_in;  // of a task that is no greenlet: getcurrent()
};

// Wakes `task` if it is parked where something may be thrown.
void interrupt_park(Task& task) noexcept;

// Timeouts started without a handle end with the greenlet, or with a server's handler.
void end_detached_timeouts(Task& task) noexcept;

// The task's values of green::locals end, and what their destructors make of them anew.
void end_locals(Task& task, TaskPart::End end = TaskPart::End::of_life) noexcept;
// Who waits for the handle that getcurrent() gave of the task is told that it has ended.
void end_stand_in(Task& task, TaskPart::End end = TaskPart::End::of_life) noexcept;
// All of what is to end with a task, and not after it.
void end_interrupts(Task& task) noexcept;

Interrupts& interrupts_of(Task& task);

// Throws what is pending for the current task, unless it is held off. A suspension point calls it
// when it was interrupted, after it gave back what it held.
void throw_pending();

// The same where the task is at hand: costs one test when nothing is pending.
inline void throw_pending(const Task& self) {
  if ((self.attention & attention::throws) != 0) [[unlikely]]
    throw_pending();
}

// Adds an exception for the task to throw; it must live on the current hub. Wakes it if it is
// parked and may throw.
void throw_into(Task& task, std::exception_ptr exception);
// The same, but it stays as it is.
void add_kill(Task& task, std::exception_ptr exception);

// True if something of what is pending for `task`, thrown by the function that parks it or by a
// park in it, would not hit a noexcept function before a handler.
bool may_interrupt(Task& task, const UnwindContext& primitive) noexcept;

// True if the task's next suspension point may throw.
bool can_throw_into(const Task& task) noexcept;

}  // namespace detail
}  // namespace greenroom
