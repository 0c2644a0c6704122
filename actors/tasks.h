// Tasks: scatter and gather. Scope: children that do not outlive a block.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "greenroom/actors/outcome.h"
#include "greenroom/actors/spawn.h"
#include "greenroom/actors/verbs.h"
#include "greenroom/mailbox/receive.h"
#include "greenroom/scheduler/greenlet.h"

namespace greenroom {

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
    if (running_.empty()) return;
    const Uncancellable uncancellable;
    collect(std::chrono::nanoseconds(0));
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
    running_.push_back({task, std::move(slot), {}});
  }

  // **Blocks.** until all have ended or the wait is over. What each returned, or why it did not, in
  // start order; what is late is killed, waited for, and has the reason `killed`.
  std::vector<Outcome<T>> collect(Wait wait) {
    const std::int64_t deadline = wait.to_deadline();
    const Wait until = wait.is_forever() || wait.is_poll()
                           ? wait
                           : Wait(clock::time_point(clock::duration(deadline)));
    bool is_late = false;
    for (std::size_t i = 0; i < running_.size(); ++i) {
      Running& task = running_[i];
      if (task.reason) continue;  // of a collect that was cut short
      if (!is_late) task.reason = wait_for(task.task.ref, until);
      if (!task.reason) {
        if (!is_late) kill_from(i);
        is_late = true;
        const Uncancellable it_ends;
        task.reason = wait_for(task.task.ref, Wait::forever());
      }
    }
    std::vector<Outcome<T>> outcomes;
    for (Running& task : running_) {
      if (task.slot->has_value()) {
        if constexpr (std::is_void_v<T>) {
          outcomes.emplace_back();
        } else {
          outcomes.emplace_back(std::move(**task.slot));
        }
      } else {
        outcomes.emplace_back(std::move(*task.reason));
      }
    }
    running_.clear();
    return outcomes;
  }

 private:
  using Slot = std::optional<std::conditional_t<std::is_void_v<T>, std::monostate, T>>;
  struct Running {
    Monitored task;
    std::shared_ptr<Slot> slot;
    std::optional<ExitReason> reason = {};  // once its Down has been taken
  };

  static std::optional<ExitReason> wait_for(MonitorRef ref, Wait wait) {
    return receive(when([&](const Down& down) { return down.ref == ref; },
                        [](const Down& down) { return std::optional<ExitReason>(down.reason); }),
                   after(wait, [] { return std::optional<ExitReason>(); }));
  }
  void kill_from(std::size_t first) {
    for (std::size_t i = first; i < running_.size(); ++i) exit(running_[i].task.pid, Reason::kill);
  }

  std::vector<Running> running_;
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
