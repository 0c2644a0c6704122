// Kills: what they throw is thrown in a turn, so that the order is gevent's. Its callback throws
// into the greenlets, each of which goes on in place until it parks or ends, and then resumes the
// killer, in place too.
#include <cassert>
#include <unordered_set>
#include <utility>
#include <vector>

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/greenlet/greenlet_home.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/hub/turn.h"
#include "greenroom/scheduler/system/crossing.h"

namespace greenroom {

namespace detail {

namespace {

using Targets = std::vector<green::Greenlet<>>;

std::exception_ptr or_greenlet_exit(std::exception_ptr exception) {
  return exception ? exception : std::make_exception_ptr(green::GreenletExit());
}

// On its hub: one that has not started ends by the exception, and its callable goes. False: it has
// started.
bool end_before_start(GreenletTask& task, const std::exception_ptr& exception) {
  if (!is_greenlet(task)) return false;
  if (task.is_ended_by_killer) return true;  // another killer is at it
  if (task.state != TaskState::fresh && task.state != TaskState::unscheduled) return false;
  start_now(task);  // it takes its turn, in which it does nothing
  throw_into(task, exception);
  if (task.extension) return true;  // an actor sees to its end itself, in its turn
  // Its callable goes before anybody hears of the end, as it may refer to what the one who hears
  // has. In hub work its destructors could not park: then it ends in its turn.
  if (!Hub::current_if_any()->current_task()) return true;
  task.is_ended_by_killer = true;
  static_cast<const GreenletOps&>(*task.ops).drop_call(task);
  try {
    std::rethrow_exception(exception);
  } catch (...) {
    keep_exception(task);
  }
  end_greenlet(task);
  return true;
}

// From the post of another hub: as far as order goes, at once.
void kill_here(GreenletTask& task, const std::exception_ptr& exception) {
  if (task.has_ended() || end_before_start(task, exception)) return;
  throw_into(task_behind(task), exception);
}

// Throws into started greenlets of this hub.
class KillTurn final : public Turn {
 public:
  // Takes a place for it, which it keeps until it is done.
  static void call_for(Targets targets, std::exception_ptr exception) {
    if (targets.empty()) return;
    drop_reference(start(std::move(targets), std::move(exception), nullptr));
  }
  // **Blocks.** until it is done.
  static void wait_for(Targets targets, std::exception_ptr exception, Task& killer);

 private:
  KillTurn(Targets targets, std::exception_ptr exception, Task* killer)
      : Turn(&run, &destroy),
        targets_(std::move(targets)),
        exception_(std::move(exception)),
        killer_(killer) {
    if (killer_) add_reference(*killer_);
  }
  ~KillTurn() {
    if (killer_) drop_reference(*killer_);
  }

  static KillTurn& start(Targets targets, std::exception_ptr exception, Task* killer) {
    auto& turn = *new KillTurn(std::move(targets), std::move(exception), killer);
    if (!turn.call(Hub::current())) {
      for (const green::Greenlet<>& target : turn.targets_)
        kill_here(target.task(), turn.exception_);
      turn.is_done_ = true;
    }
    return turn;
  }
  static void run(Turn& turn) noexcept {
    auto& self = static_cast<KillTurn&>(turn);
    while (self.next_ < self.targets_.size()) {
      GreenletTask& target = self.targets_[self.next_++].task();
      if (target.has_ended()) continue;
      Task& behind = task_behind(target);
      add_kill(behind, self.exception_);
      if (self.interrupt_first(behind)) return;
    }
    self.is_done_ = true;
    if (self.killer_) self.resume_first(self.waker_);
  }
  static void destroy(Turn& turn) noexcept { delete static_cast<KillTurn*>(&turn); }

  const Targets targets_;
  const std::exception_ptr exception_;
  Task* const killer_;
  Waker waker_ = {};  // of the killer's present park; one that is over takes no wake
  std::size_t next_ = 0;
  bool is_done_ = false;
};

void KillTurn::wait_for(Targets targets, std::exception_ptr exception, Task& killer) {
  KillTurn& turn = start(std::move(targets), std::move(exception), &killer);
  struct Owner {
    KillTurn& turn;
    ~Owner() { drop_reference(turn); }
  } const owner{turn};
  while (!turn.is_done_) {
    const Waiting waiting(killer);
    turn.waker_ = waiting.waker();
    if (detail::park("greenlet.kill") == ParkResult::interrupted) throw_pending();
  }
}

// Kills that have begun, on the calling hub.
struct Begun {
  Targets in_turn;          // these are thrown into in a turn
  bool needs_turn = false;  // or were told, and are to run before the killer goes on
};

// Each once. Those that have not started, or live on another hub, have been dealt with.
Begun begin_kills(const Targets& greenlets, const std::exception_ptr& exception) {
  Hub& here = Hub::current();
  Begun begun;
  std::unordered_set<const GreenletTask*> seen;
  for (const green::Greenlet<>& greenlet : greenlets) {
    GreenletTask& target = greenlet.task();
    if (target.has_ended() || !seen.insert(&target).second) continue;
    if (target.hub != &here) {
      on_home(target, [exception](GreenletTask& home) { kill_here(home, exception); });
      continue;
    }
    if (end_before_start(target, exception)) continue;
    begun.needs_turn = true;
    Task& behind = task_behind(target);
    if (behind.state == TaskState::parked && !may_be_late(behind.park->waits_for)) {
      // What it waits for must not be given to it any more: it has its place from here on.
      throw_into(behind, exception);
    } else {
      begun.in_turn.push_back(greenlet);
    }
  }
  return begun;
}

}  // namespace

void GreenletHandle::kill(std::exception_ptr exception, Wait wait) const {
  Task& self = enter_blocking_call();
  GreenletTask& target = task();
  if (target.has_ended()) return;
  cross();
  exception = or_greenlet_exit(std::move(exception));
  const std::int64_t deadline = wait.to_deadline();
  Begun begun = begin_kills({green::Greenlet<>(target)}, exception);
  if (begun.needs_turn) {
    if (wait.is_poll()) return KillTurn::call_for(std::move(begun.in_turn), std::move(exception));
    KillTurn::wait_for(std::move(begun.in_turn), std::move(exception), self);
  }
  // What it throws into itself may be held off.
  if (&task_behind(target) != &self) join(wait.is_poll() ? wait : to_wait(deadline));
}

}  // namespace detail

namespace green {

void killall(const std::vector<Greenlet<>>& greenlets, std::exception_ptr exception, Wait wait) {
  detail::Task& self = detail::enter_blocking_call();
  // Those who run meanwhile may change the caller's list.
  const std::vector<Greenlet<>> listed(greenlets.begin(), greenlets.end());
  exception = detail::or_greenlet_exit(std::move(exception));
  const std::int64_t deadline = wait.to_deadline();
  detail::Begun begun = detail::begin_kills(listed, exception);
  if (begun.needs_turn && wait.is_poll()) {
    detail::KillTurn::call_for(std::move(begun.in_turn), std::move(exception));
  } else if (begun.needs_turn) {
    detail::KillTurn::wait_for(std::move(begun.in_turn), std::move(exception), self);
  }
  std::vector<Greenlet<>> alive;
  for (const Greenlet<>& greenlet : listed) {
    if (!greenlet.ready() && &detail::task_behind(greenlet.task()) != &self)
      alive.push_back(greenlet);
  }
  if (alive.empty()) return;
  if (wait.is_poll()) throw TimeoutError();
  const std::size_t ended = joinall(alive, detail::to_wait(deadline)).size();
  if (ended < alive.size()) throw TimeoutError();
}

void kill(const Greenlet<>& greenlet, std::exception_ptr exception) {
  kill(std::vector<Greenlet<>>{greenlet}, std::move(exception));
}

void kill(const std::vector<Greenlet<>>& greenlets, std::exception_ptr exception) {
  // Those who run meanwhile may change the caller's list.
  const std::vector<Greenlet<>> listed(greenlets.begin(), greenlets.end());
  exception = detail::or_greenlet_exit(std::move(exception));
  detail::Begun begun = detail::begin_kills(listed, exception);
  if (begun.needs_turn) detail::KillTurn::call_for(std::move(begun.in_turn), std::move(exception));
}

}  // namespace green
}  // namespace greenroom
