#include "greenroom/scheduler/greenlet/greenlet.h"

#include <algorithm>
#include <cassert>

#include "greenroom/scheduler/greenlet/greenlet_home.h"
#include "greenroom/scheduler/hub/report.h"
#include "greenroom/scheduler/hub/turn.h"
#include "greenroom/scheduler/memory/block_pool.h"
#include "greenroom/scheduler/system/crossing.h"
#include "greenroom/scheduler/task/describe.h"

namespace greenroom {

namespace detail {

namespace {

// The turn of a greenlet's end, in which those are told who have to see its place. An observer that
// comes when it has ended gets a turn of its own, as the greenlet's hub may be gone.
class EndTurn final : public Turn {
 public:
  // False: this hub is ending, and nobody is told.
  static bool call_for(GreenletTask& task, PlacedObserver* latecomer = nullptr) noexcept {
    auto* turn = new (allocate_block(sizeof(EndTurn))) EndTurn(task);
    if (latecomer) turn->own_.push_back(*latecomer);
    const bool is_called = turn->call(*Hub::current_if_any());
    if (!is_called) {
      if (latecomer) latecomer->unlink();
      if (turn->is_home_) task.is_being_told = false;
    }
    drop_reference(*turn);
    return is_called;
  }

 private:
  explicit EndTurn(GreenletTask& task)
      : Turn(&run, &destroy), ended_(task), is_home_(task.home == &Hub::current().port()) {
    add_reference(task);
    if (is_home_) task.is_being_told = true;
  }
  ~EndTurn() { drop_reference(ended_); }
  static void run(Turn& turn) noexcept {
    auto& self = static_cast<EndTurn&>(turn);
    if (self.own_.tell_all(self.ended_, &self)) return;
    if (!self.is_home_ || self.ended_.observers.tell_all(self.ended_, &self)) return;
    self.ended_.is_being_told = false;
  }
  static void destroy(Turn& turn) noexcept {
    auto* self = static_cast<EndTurn*>(&turn);
    self->~EndTurn();
    release_block(self, sizeof(EndTurn));
  }

  GreenletTask& ended_;
  const bool is_home_;
  ObserverRing own_;
};

}  // namespace

void ObserverRing::push_back(ExitObserver& observer) noexcept {
  observer.previous = previous;
  observer.next = this;
  previous->next = &observer;
  previous = &observer;
}

bool ObserverRing::tell_all(GreenletTask& task, Turn* turn) noexcept {
  while (!empty()) {
    ExitObserver& observer = *next;
    if (observer.notify) {
      observer.unlink();
      observer.notify(observer, task);
      continue;
    }
    auto& placed = static_cast<PlacedObserver&>(observer);
    if (!turn && placed.needs == PlacedObserver::Needs::turn && EndTurn::call_for(task))
      return true;
    placed.unlink();
    if (placed.tell(placed, task, turn)) return true;
  }
  return false;
}

GreenletTask::GreenletTask(const TaskOps& task_ops) : Task(task_ops) {}

GreenletTask::~GreenletTask() { delete extras.load(std::memory_order_relaxed); }

void GreenletTask::add_observer(ExitObserver& observer) noexcept {
  assert(!has_ended());
  observers.push_back(observer);
}

void GreenletTask::observe(PlacedObserver& observer) noexcept {
  if (!has_ended()) return observers.push_back(observer);
  // A turn of its end that has not passed is for this one, too.
  if (is_being_told_here(*this)) return observers.push_back(observer);
  if (!EndTurn::call_for(*this, &observer)) observer.tell(observer, *this, nullptr);
}

void keep_exception(GreenletTask& task) noexcept {
  try {
    throw;
  } catch (const green::GreenletExit&) {
    task.ended_by = GreenletOutcome::killed;
  } catch (const ActorExit&) {
    task.ended_by = GreenletOutcome::error;
    task.error = std::current_exception();
  } catch (...) {
    task.ended_by = GreenletOutcome::error;
    task.error = std::current_exception();
    if (!task.extension) report_uncaught(task);  // an actor's end is reported by its own layer
  }
}

void end_greenlet(GreenletTask& task) noexcept {
  if (task.extension) task.extension->extension_ops->ended(task);
  task.outcome.store(task.ended_by, std::memory_order_release);
  cross();
  if (!task.observers.empty()) task.observers.tell_all(task, nullptr);
}

void abandoned_greenlet(Task& task) noexcept {
  auto& greenlet = static_cast<GreenletTask&>(task);
  greenlet.ended_by = GreenletOutcome::killed;
  end_greenlet(greenlet);
}

// One that was to start later starts now, to find that it is not to run.
void start_now(GreenletTask& task) {
  if (task.state != TaskState::unscheduled) return;
  task.hub->timers().cancel(task.extras.load(std::memory_order_relaxed)->start_timer);
  task.hub->start(task);
}

// The hub is ending: as a kill. One that was not started, or waits for its start, runs only to find
// that out.
void stop_greenlet(Task& task) noexcept {
  start_now(static_cast<GreenletTask&>(task));
  if ((task.attention & attention::kill) == 0) {
    throw_into(task, std::make_exception_ptr(green::GreenletExit()));
  } else {
    interrupt_park(task);
  }
}

std::string describe_greenlet(const Task& task) {
  std::string text = "greenlet ";
  const std::string name = name_if_any(static_cast<const GreenletTask&>(task));
  if (!name.empty()) text += '"' + name + "\" ";
  text += task.ops->type ? demangle(task.ops->type->name()) : "?";
  return text;
}

void start_greenlet_later(GreenletTask& task, std::chrono::nanoseconds delay) {
  auto* extras = new GreenletExtras;
  task.extras.store(extras, std::memory_order_relaxed);  // nobody else knows the task yet
  extras->start_timer.task = &task;
  extras->start_timer.fire = [](TimerNode& node) noexcept {
    GreenletTask& owner = *static_cast<GreenletExtras::StartTimer&>(node).task;
    if (owner.state == TaskState::unscheduled) owner.hub->start(owner);
  };
  Hub& hub = *task.hub;
  // The latest there is never comes.
  hub.timers().arm(extras->start_timer,
                   std::min(add_saturated(hub.now(), delay.count()), no_deadline - 1));
}

namespace {

// A joiner on the greenlet's own hub: in the parked frame.
struct Joiner final : PlacedObserver {
  explicit Joiner(Task& task) : PlacedObserver(&wake_joiner, Needs::nothing), waiting(task) {}
  ~Joiner() { unlink(); }
  static bool wake_joiner(PlacedObserver& observer, GreenletTask&, Turn* turn) noexcept {
    return wake_in(turn, static_cast<Joiner&>(observer).waiting.waker());
  }
  const Waiting waiting;
};

// A joiner on another hub. It is both the greenlet's, whose hub has it on the list, and the
// waiter's, who may leave first and then has it taken off. A waiter that has left, perhaps with its
// whole hub, is not found any more.
struct RemoteJoiner final : ExitObserver {
  explicit RemoteJoiner(Waker waiter) : ExitObserver(&wake_joiner), waker(waiter) {
    add_reference(waker.task());
  }
  ~RemoteJoiner() { drop_reference(waker.task()); }
  RemoteJoiner(const RemoteJoiner&) = delete;
  RemoteJoiner& operator=(const RemoteJoiner&) = delete;

  static void wake_joiner(ExitObserver& observer, GreenletTask&) noexcept {
    auto& self = static_cast<RemoteJoiner&>(observer);
    self.waker.wake_by_post();
    self.drop();
  }
  // One of the two does not need it any more.
  void drop() noexcept {
    if (owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  const Waker waker;
  std::atomic<int> owners{2};
};

// The wait of a joiner for a greenlet of another hub.
class RemoteJoin {
 public:
  RemoteJoin(Task& waiter, GreenletTask& target)
      : waiting_(waiter), target_(target), joiner_(*new RemoteJoiner(waiting_.waker())) {
    on_home(target_, [joiner = &joiner_](GreenletTask& home) {
      home.has_ended() ? RemoteJoiner::wake_joiner(*joiner, home) : home.add_observer(*joiner);
    });
  }
  // A greenlet that has ended tells its observers by itself; so have all of a hub that has, and of
  // which nobody is on a list any more.
  ~RemoteJoin() {
    const bool is_posted =
        !target_.has_ended() &&
        Hub::post_to(*target_.home, [joiner = &joiner_, handle = green::Greenlet<>(target_)] {
          if (joiner->is_linked()) {
            joiner->unlink();
            joiner->drop();
          }
          joiner->drop();
        });
    if (!is_posted) joiner_.drop();
  }
  RemoteJoin(const RemoteJoin&) = delete;
  RemoteJoin& operator=(const RemoteJoin&) = delete;

 private:
  const Waiting waiting_;
  GreenletTask& target_;
  RemoteJoiner& joiner_;
};

}  // namespace

GreenletTask& GreenletHandle::task() const {
  if (!task_)
    throw std::logic_error(
        "greenroom: an empty Greenlet handle; spawn() returns one that can be used");
  return *task_;
}

bool GreenletHandle::join(Wait wait) const {
  Task& self = enter_blocking_call();
  GreenletTask& target = task();
  if (target.has_ended()) return true;
  if (wait.is_poll()) return false;
  cross();
  const std::int64_t deadline = wait.to_deadline();
  const WaitsFor waits_for{WaitsFor::Kind::task, reinterpret_cast<std::uintptr_t>(&target)};
  for (;;) {
    ParkResult result = ParkResult::woken;
    if (target.hub == self.hub) {
      Joiner joiner(self);
      target.add_observer(joiner);
      result = park("greenlet.join", deadline, waits_for);
    } else {
      const Hold hold = self.hub->hold_for_news_from(target.home->number());
      const RemoteJoin joined(self, target);
      result = park("greenlet.join", deadline, waits_for);
    }
    // It may go on: the timeout that interrupted it was cancelled by somebody else.
    if (result == ParkResult::interrupted) throw_pending();
    if (target.has_ended()) return true;
    if (result == ParkResult::expired) return false;
  }
}

bool GreenletHandle::started() const { return !ready(); }

bool GreenletHandle::successful() const {
  const GreenletOutcome outcome = task().outcome.load(std::memory_order_acquire);
  return outcome == GreenletOutcome::value || outcome == GreenletOutcome::killed;
}

std::exception_ptr GreenletHandle::exception() const { return ready() ? task().error : nullptr; }

void GreenletHandle::wait_for_value(Wait wait) const {
  if (!join(wait)) throw TimeoutError();
  if (task().error) std::rethrow_exception(task().error);
  if (task().outcome.load() == GreenletOutcome::killed) throw green::GreenletExit();
}

}  // namespace detail
}  // namespace greenroom
