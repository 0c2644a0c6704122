// Tasks: scatter and gather. Scope: children that do not outlive a block.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "greenroom/actors/values/outcome.h"
#include "greenroom/actors/verbs/end_collector.h"
#include "greenroom/actors/verbs/spawn.h"
#include "greenroom/actors/verbs/verbs.h"
#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/sync/lock.h"

namespace greenroom {

struct TasksOptions {
  std::size_t at_once = 0;  // so many run at most, the others wait for their turn; 0 = any number
  Placement place = Placement::here;
  std::size_t stack_size = 0;  // as SpawnOptions::stack_size
};

namespace detail {

// **Blocks.** until all have ended. What has not when the wait is over is killed.
void collect_ends(EndCollector& ends, Wait wait);

// One of those that may run at once; **Blocks.** until it is. Null: all may.
class TaskTurn {
 public:
  explicit TaskTurn(green::Semaphore* turns) : turns_(turns) {
    if (turns_) turns_->acquire();
  }
  ~TaskTurn() {
    if (turns_) turns_->release();
  }
  TaskTurn(const TaskTurn&) = delete;
  TaskTurn& operator=(const TaskTurn&) = delete;

 private:
  green::Semaphore* turns_;
};
// Null if there is no limit. Throws std::invalid_argument for a stack over 256 MiB.
std::shared_ptr<green::Semaphore> make_turns(const TasksOptions& options);

}  // namespace detail

// Actors that each compute a T. They are monitored, end with this object at the latest, and leave
// no stray messages. For one actor.
template <class T>
class Tasks {
 public:
  // Throws std::invalid_argument for a stack over 256 MiB.
  explicit Tasks(const TasksOptions& options = {})
      : spawn_options_{.place = options.place, .stack_size = options.stack_size},
        turns_(detail::make_turns(options)) {}
  Tasks(const Tasks&) = delete;
  Tasks& operator=(const Tasks&) = delete;
  // Those that run are killed and waited for.
  ~Tasks() {
    if (ends_.size() == 0) return;
    const Uncancellable uncancellable;
    detail::collect_ends(ends_, std::chrono::nanoseconds(0));
  }

  // Starts f(a...), which were moved into it. With at_once tasks begin in start order, each when an
  // earlier one has ended, whether or not anybody collects; one that waits takes a stack. Throws as
  // spawn.
  template <class F, class... A>
  void start(F f, A... a) {
    auto slot = std::make_shared<Slot>();
    const Monitored task = spawn_monitor(
        spawn_options_, [slot, turns = turns_, f = std::move(f), ... a = std::move(a)]() mutable {
          const detail::TaskTurn turn(turns.get());
          if constexpr (std::is_void_v<T>) {
            std::invoke(std::move(f), std::move(a)...);
            slot->emplace();
          } else {
            slot->emplace(std::invoke(std::move(f), std::move(a)...));
          }
        });
    ends_.add(task.pid, task.ref);
    slots_.push_back(std::move(slot));
  }

  // **Blocks.** until all have ended or the wait is over. What each returned, or why it did not, in
  // start order; what is late is killed, waited for, and has the reason `killed`.
  std::vector<Outcome<T>> collect(Wait wait) {
    detail::collect_ends(ends_, wait);
    // Off this object: moving a value may throw.
    const detail::EndCollector ends = std::move(ends_);
    const std::vector<std::shared_ptr<Slot>> slots = std::move(slots_);
    ends_.clear();
    slots_.clear();
    std::vector<Outcome<T>> outcomes;
    outcomes.reserve(slots.size());
    for (std::size_t i = 0; i < slots.size(); ++i) {
      Slot& slot = *slots[i];
      if (!slot) {
        outcomes.emplace_back(ends.reason(i));
      } else if constexpr (std::is_void_v<T>) {
        outcomes.emplace_back();
      } else {
        outcomes.emplace_back(std::move(*slot));
      }
    }
    return outcomes;
  }

 private:
  using Slot = std::optional<std::conditional_t<std::is_void_v<T>, std::monostate, T>>;

  const SpawnOptions spawn_options_;
  const std::shared_ptr<green::Semaphore> turns_;  // null: nobody waits
  // What has ended stays noted by a collect that is cut short.
  detail::EndCollector ends_{detail::EndCollector::Takes::downs};
  std::vector<std::shared_ptr<Slot>> slots_;  // in start order
};

// Structured concurrency: at its end the greenlets it spawned are joined; if it is left by an
// exception, killed and joined. Inside them references to what outlives the scope are safe. The end
// of a scope is a destructor, which nothing interrupts: where a kill, a timeout or a deadline is to
// cut the wait short, call join() last.
class Scope {
 public:
  Scope() : exceptions_(std::uncaught_exceptions()) {}
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  template <class F, class... A>
  green::Greenlet<std::invoke_result_t<F, A...>> spawn(F f, A... a) {
    auto greenlet = green::spawn(std::move(f), std::move(a)...);
    children_.push_back(greenlet);
    return greenlet;
  }
  // **Blocks.** until all have ended; cut short by a kill or a timeout it kills and joins them, and
  // then throws that.
  void join();

 private:
  int exceptions_;
  std::vector<green::Greenlet<>> children_;
};

}  // namespace greenroom
