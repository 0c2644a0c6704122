// Tasks: scatter and gather. Scope: children that do not outlive a block.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "greenroom/actors/end_collector.h"
#include "greenroom/actors/outcome.h"
#include "greenroom/actors/spawn.h"
#include "greenroom/actors/verbs.h"
#include "greenroom/scheduler/greenlet.h"

namespace greenroom {

namespace detail {

// **Blocks.** until all have ended. What has not when the wait is over is killed.
void collect_ends(EndCollector& ends, Wait wait);

}  // namespace detail

// Actors that each compute a T. They are monitored, end with this object at the latest, and leave
// no stray messages. For one actor.
template <class T>
class Tasks {
 public:
  Tasks() = default;
  Tasks(const Tasks&) = delete;
  Tasks& operator=(const Tasks&) = delete;
  // Those that run are killed and waited for.
  ~Tasks() {
    if (ends_.size() == 0) return;
    const Uncancellable uncancellable;
    detail::collect_ends(ends_, std::chrono::nanoseconds(0));
  }

  // Starts f(a...), which were moved into it.
  template <class F, class... A>
  void start(F f, A... a) {
    auto slot = std::make_shared<Slot>();
    const Monitored task = spawn_monitor([slot, f = std::move(f), ... a = std::move(a)]() mutable {
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
