// A task: what the ready queue holds. A greenlet, an actor, a server between two messages.
//
// A task belongs to one hub for life; everything here is touched by that hub's thread only, except
// `references` (and what a comment marks). It has a stack (`fiber`) only from its first instruction
// until it ends, and a server actor not even between two messages. Invariants: `epoch` moves at the
// first wake of a park, so whoever holds an older one has lost; `next_ready` is used in the states
// fresh and ready only.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <typeinfo>

namespace greenroom {
class ActorExit;
class Hub;
}  // namespace greenroom

namespace greenroom::detail {

class Fiber;
class SignalSafeLine;
struct Interrupts;
struct ParkFrame;
struct Task;

enum class TaskState : std::uint8_t {
  unscheduled,  // on no list: made, and not yet started
  fresh,        // in the ready queue, without a stack: to be called at the base of a runner
  ready,        // in the ready queue, with a fiber to be resumed
  running,      // on no list: the hub's current task
  parked,       // on no list of the hub; its waiters are on the lists of what it waits for
  idle,         // on no list, without a stack: a server with an empty mailbox
  finished,     // on no list: kept by its references
  abandoned,    // on no list: its fiber is never resumed
};

enum class ParkResult : std::uint8_t {
  woken,        // by what it waited for
  expired,      // the deadline came first
  interrupted,  // something is to be thrown: throw_pending() once what is held is given back
};

// Bits of Task::attention: what must be looked at before going on.
namespace attention {
inline constexpr std::uint16_t kill = 1;       // an exception from outside is pending
inline constexpr std::uint16_t timeout = 2;    // a Timeout has fired and not been thrown
inline constexpr std::uint16_t exiting = 4;    // an exit was accepted: every blocking call throws
inline constexpr std::uint16_t deadline = 8;   // an inherited deadline has passed
inline constexpr std::uint16_t inherits = 16;  // it runs in a with_deadline, passed or not
inline constexpr std::uint16_t on_stack = 32;  // it is in on_stack(), where nothing may park
inline constexpr std::uint16_t throws = kill | timeout | exiting | deadline;
inline constexpr std::uint16_t refuses = throws | on_stack;  // of calls that may park
}  // namespace attention

// What a kind of task does; one constant per type.
struct TaskOps {
  void (*run)(Task&);                    // at the base of a runner; must not throw
  void (*destroy)(Task&) noexcept;       // ends the object and gives its memory back
  void (*abandoned)(Task&) noexcept;     // it will never be resumed: tell whoever waits for it
  std::string (*describe)(const Task&);  // for people: "actor <0.12.0> 'name'"
  void (*stop)(Task&) noexcept;          // the hub ends: get it to unwind
  const std::type_info* type;            // of the callable; null if there is none
};

struct TaskIdentity;

// The part of a task that a higher layer owns. An actor is a task with one.
struct TaskExtension {
  struct Ops {
    ActorExit (*exit_of)(const Task&);  // attention::exiting: what is thrown to unwind it
    void (*ended)(Task&) noexcept;      // the body of one that did not start as an actor is over
    void (*identify)(const Task&, TaskIdentity&) noexcept;  // async-signal-safe
    std::string (*describe)(const TaskIdentity&);           // any thread
    // "actor <0.12.0>", without what would have to be allocated. Async-signal-safe, any thread.
    void (*append_to)(const TaskIdentity&, SignalSafeLine&) noexcept;
  };
  const Ops* extension_ops = nullptr;
};

// Who a task is, as a signal handler on its hub's thread can note it down.
struct TaskIdentity {
  const std::type_info* type = nullptr;  // of the callable; null: a root greenlet
  const TaskExtension::Ops* extension_ops = nullptr;
  std::uint32_t hub = 0;
  std::uint64_t number = 0;  // of an actor
  char label[64] = {};       // ends with a zero
};

struct Task {
  explicit Task(const TaskOps& task_ops) : ops(&task_ops) {}
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  Task* next_ready = nullptr;
  const TaskOps* ops;
  Hub* hub = nullptr;  // set once, before any other thread sees the task
  std::uint64_t epoch = 1;
  Fiber* fiber = nullptr;     // its stack, from its first park on; while it runs, see the hub
  ParkFrame* park = nullptr;  // while parked: on the parked stack
  Interrupts* interrupts = nullptr;  // what attention refers to; made on demand
  TaskExtension* extension = nullptr;
  Task* previous_in_hub = nullptr;
  Task* next_in_hub = nullptr;
  std::atomic<std::uint32_t> references{
      1};  // any thread; the hub's own reference ends with the task
  TaskState state = TaskState::unscheduled;
  ParkResult result = ParkResult::woken;
  std::uint16_t attention = 0;
  std::uint16_t uncancellable = 0;  // depth of Uncancellable scopes
  std::uint16_t exit_throws = 0;    // how often attention::exiting was thrown already
  std::uint32_t stack_size = 0;     // 0 = default
};

inline void add_reference(Task& task) noexcept {
  task.references.fetch_add(1, std::memory_order_relaxed);
}

// The last reference destroys it. A lone owner needs no atomic exchange: nobody else can be adding
// one.
inline void drop_reference(Task& task) noexcept {
  if (task.references.load(std::memory_order_acquire) == 1 ||
      task.references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    task.ops->destroy(task);
  }
}

}  // namespace greenroom::detail
