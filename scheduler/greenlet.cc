#include "greenroom/scheduler/greenlet.h"

#include <algorithm>
#include <cassert>
#include <deque>
#include <memory>
#include <thread>

#include "greenroom/scheduler/crossing.h"
#include "greenroom/scheduler/dump.h"

namespace greenroom {

namespace detail {

struct StartTimer final : TimerNode {
  GreenletTask* task = nullptr;
};

GreenletTask::GreenletTask(const TaskOps& task_ops) : Task(task_ops) {
  observers.next = observers.previous = &observers;
}

GreenletTask::~GreenletTask() { delete start_timer; }

void GreenletTask::add_observer(ExitObserver& observer) noexcept {
  assert(!has_ended());
  observer.previous = observers.previous;
  observer.next = &observers;
  observers.previous->next = &observer;
  observers.previous = &observer;
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
  while (task.observers.next != &task.observers) {
    ExitObserver& observer = *task.observers.next;
    observer.unlink();
    observer.notify(observer, task);
  }
}

void abandoned_greenlet(Task& task) noexcept {
  auto& greenlet = static_cast<GreenletTask&>(task);
  greenlet.ended_by = GreenletOutcome::killed;
  end_greenlet(greenlet);
}

namespace {

// One that was to start later starts now, to find that it is not to run.
void start_now(GreenletTask& task) {
  if (task.state != TaskState::unscheduled) return;
  task.hub->timers().cancel(*task.start_timer);
  task.hub->start(task);
}

}  // namespace

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
  text += task.ops->type ? demangle(task.ops->type->name()) : "?";
  return text;
}

void start_greenlet_later(GreenletTask& task, std::chrono::nanoseconds delay) {
  task.start_timer = new StartTimer;
  task.start_timer->task = &task;
  task.start_timer->fire = [](TimerNode& node) noexcept {
    GreenletTask& owner = *static_cast<StartTimer&>(node).task;
    if (owner.state == TaskState::unscheduled) owner.hub->start(owner);
  };
  Hub& hub = *task.hub;
  // The latest there is never comes.
  hub.timers().arm(*task.start_timer,
                   std::min(add_saturated(hub.now(), delay.count()), no_deadline - 1));
}

namespace {

// A joiner on the greenlet's own hub: in the parked frame.
struct Joiner final : ExitObserver {
  explicit Joiner(Task& task) : ExitObserver(&wake_joiner), waiting(task) {}
  ~Joiner() { unlink(); }
  static void wake_joiner(ExitObserver& observer, GreenletTask&) noexcept {
    static_cast<Joiner&>(observer).waiting.waker().wake();
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

struct Callback final : ExitObserver {
  explicit Callback(std::function<void(const green::Greenlet<>&)> function)
      : ExitObserver(&spawn_callback), f(std::move(function)) {}
  static void spawn_callback(ExitObserver& observer, GreenletTask& task) noexcept {
    const std::unique_ptr<Callback> self(static_cast<Callback*>(&observer));
    green::spawn([f = std::move(self->f), handle = green::Greenlet<>(task)] { f(handle); });
  }
  std::function<void(const green::Greenlet<>&)> f;
};

// Runs f with the greenlet on its own hub: now if that is this one. It may have ended meanwhile,
// and its hub with it: then f runs here, or on whichever hub has the port now.
template <class F>
void on_home(GreenletTask& task, F f) {
  if (task.hub == Hub::current_if_any()) {
    f(task);
    return;
  }
  if (Hub::post_to(*task.home, [handle = green::Greenlet<>(task), f] { f(handle.task()); })) return;
  // A hub that refuses posts ends or abandons what it still has.
  while (!task.has_ended()) std::this_thread::yield();
  f(task);
}

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

void run_at_home(GreenletTask& task, const std::function<void(GreenletTask&)>& f) {
  on_home(task, f);
}

void tell_kill(GreenletTask& task, std::exception_ptr exception) {
  if (!exception) exception = std::make_exception_ptr(green::GreenletExit());
  on_home(task, [exception = std::move(exception)](GreenletTask& home) {
    if (home.has_ended()) return;
    throw_into(home, exception);
    start_now(home);
  });
}

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

void GreenletHandle::kill(std::exception_ptr exception, Wait wait) const {
  Task& self = enter_blocking_call();
  GreenletTask& target = task();
  if (target.has_ended()) return;
  cross();
  if (!exception) exception = std::make_exception_ptr(green::GreenletExit());
  if (&target == &self) std::rethrow_exception(exception);
  tell_kill(target, std::move(exception));
  join(wait);
}

bool GreenletHandle::started() const { return !ready(); }

bool GreenletHandle::successful() const {
  const GreenletOutcome outcome = task().outcome.load(std::memory_order_acquire);
  return outcome == GreenletOutcome::value || outcome == GreenletOutcome::killed;
}

std::exception_ptr GreenletHandle::exception() const { return ready() ? task().error : nullptr; }

void GreenletHandle::on_exit(std::function<void(const green::Greenlet<>&)> f) const {
  on_home(task(), [f = std::move(f)](GreenletTask& home) {
    auto callback = std::make_unique<Callback>(f);
    if (home.has_ended()) {
      Callback::spawn_callback(*callback.release(), home);
    } else {
      home.add_observer(*callback.release());
    }
  });
}

void GreenletHandle::on_value(std::function<void(const green::Greenlet<>&)> f) const {
  on_exit([f = std::move(f)](const green::Greenlet<>& ended) {
    if (ended.successful()) f(ended);
  });
}

void GreenletHandle::on_exception(std::function<void(const green::Greenlet<>&)> f) const {
  on_exit([f = std::move(f)](const green::Greenlet<>& ended) {
    if (!ended.successful()) f(ended);
  });
}

void GreenletHandle::wait_for_value(Wait wait) const {
  if (!join(wait)) throw TimeoutError();
  if (task().error) std::rethrow_exception(task().error);
  if (task().outcome.load() == GreenletOutcome::killed) throw green::GreenletExit();
}

}  // namespace detail

namespace green {

namespace {

// What joinall knows of those that live on its hub.
struct Gathering {
  std::vector<Greenlet<>> ended;
  std::size_t pending = 0;
  detail::Waker waker;  // of the present park; one that is over takes no wake
};

// One of joinall's observers: in its frame.
struct GroupJoiner final : detail::ExitObserver {
  explicit GroupJoiner(Gathering& all) : ExitObserver(&note), gathering(all) {
    ++gathering.pending;
  }
  ~GroupJoiner() { unlink(); }
  static void note(detail::ExitObserver& observer, detail::GreenletTask& task) noexcept {
    Gathering& all = static_cast<GroupJoiner&>(observer).gathering;
    all.ended.emplace_back(task);
    if (--all.pending == 0) all.waker.wake();
  }
  Gathering& gathering;
};

}  // namespace

std::vector<Greenlet<>> joinall(const std::vector<Greenlet<>>& greenlets, Wait wait) {
  detail::Task& self = detail::enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  Gathering gathering;
  std::vector<Greenlet<>>& ended = gathering.ended;
  std::vector<Greenlet<>> elsewhere;
  std::deque<GroupJoiner> joiners;
  for (const Greenlet<>& greenlet : greenlets) {
    if (greenlet.ready()) {
      ended.push_back(greenlet);
    } else if (greenlet.task().hub != self.hub) {
      elsewhere.push_back(greenlet);
    } else {
      greenlet.task().add_observer(joiners.emplace_back(gathering));
    }
  }
  while (gathering.pending > 0 && !wait.is_poll()) {
    const detail::Waiting waiting(self);
    gathering.waker = waiting.waker();
    const detail::ParkResult result = detail::park("joinall", deadline);
    if (result == detail::ParkResult::interrupted) detail::throw_pending();
    if (result == detail::ParkResult::expired) break;
  }
  for (const Greenlet<>& greenlet : elsewhere) {
    const auto until = clock::time_point(clock::duration(deadline));
    if (greenlet.join(wait.is_forever() ? wait : Wait(until))) ended.push_back(greenlet);
  }
  return std::move(ended);
}

void killall(const std::vector<Greenlet<>>& greenlets, std::exception_ptr exception, Wait wait) {
  for (const Greenlet<>& greenlet : greenlets) {
    if (!greenlet.ready()) greenlet.kill(exception, std::chrono::nanoseconds(0));
  }
  joinall(greenlets, wait);
}

}  // namespace green
}  // namespace greenroom
