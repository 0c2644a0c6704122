// green::Greenlet: a green thread with a result, as gevent.Greenlet.
//
// A handle is one shared word. Any thread may hold, copy and drop one; join, get and kill work from
// any hub. Dropping the last handle neither joins nor kills.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "greenroom/scheduler/hub.h"
#include "greenroom/scheduler/interrupt.h"
#include "greenroom/scheduler/park.h"
#include "greenroom/scheduler/time.h"

namespace greenroom {

struct Pid;

namespace green {
template <class T = void>
class Greenlet;
}

namespace detail {

struct GreenletTask;
struct StartTimer;

// Is told once, on the greenlet's hub, when it has ended. In registration order.
struct ExitObserver {
  using Notify = void (*)(ExitObserver& observer, GreenletTask& task) noexcept;
  explicit ExitObserver(Notify function) : notify(function) {}
  bool is_linked() const { return next != nullptr; }
  void unlink() noexcept {
    if (!next) return;
    previous->next = next;
    next->previous = previous;
    next = previous = nullptr;
  }
  Notify notify;
  ExitObserver* next = nullptr;
  ExitObserver* previous = nullptr;
};

enum class GreenletOutcome : std::uint8_t { pending, value, killed, error };

struct GreenletTask : Task {
  explicit GreenletTask(const TaskOps& task_ops);
  ~GreenletTask();

  void add_observer(
      ExitObserver& observer) noexcept;  // on the greenlet's hub; it must not have ended
  bool has_ended() const {
    return outcome.load(std::memory_order_acquire) != GreenletOutcome::pending;
  }

  ExitObserver observers{nullptr};                      // head of the ring
  Port* home = nullptr;                                 // its hub's, which may be gone before it
  std::exception_ptr error;                             // of the outcome error
  StartTimer* start_timer = nullptr;                    // of spawn_later, until it fires
  GreenletOutcome ended_by = GreenletOutcome::pending;  // what outcome will be
  std::atomic<GreenletOutcome> outcome{
      GreenletOutcome::pending};  // release: what the body left can be read
};

// The ops that every kind of greenlet shares.
void stop_greenlet(Task& task) noexcept;
void abandoned_greenlet(Task& task) noexcept;
std::string describe_greenlet(const Task& task);

// Classifies what the body has just thrown (call it in a catch block) and reports an error on
// stderr.
void keep_exception(GreenletTask& task) noexcept;
// Any thread: does f on the greenlet's hub, or here once that has ended; now if that is this one.
void run_at_home(GreenletTask& task, const std::function<void(GreenletTask&)>& f);
// Any thread: as kill(), and does not wait. Null: GreenletExit.
void tell_kill(GreenletTask& task, std::exception_ptr exception);
// The body is over and its callable destroyed: publishes the outcome and tells the observers.
void end_greenlet(GreenletTask& task) noexcept;

struct Nothing {};

template <class T>
struct GreenletOf : GreenletTask {
  using GreenletTask::GreenletTask;
  [[no_unique_address]] std::conditional_t<std::is_void_v<T>, Nothing, std::optional<T>> value = {};
};

template <class T, class F, class... A>
struct GreenletBody final : GreenletOf<T> {
  GreenletBody(F f, A... a)
      : GreenletOf<T>(ops), call(std::in_place, std::move(f), std::move(a)...) {}

  static void run(Task& task) {
    auto& self = static_cast<GreenletBody&>(task);
    try {
      throw_pending(task);  // killed before its first instruction: it never runs
      auto invoke = [](F& f, A&... a) -> T { return std::invoke(std::move(f), std::move(a)...); };
      if constexpr (std::is_void_v<T>) {
        std::apply(invoke, *self.call);
      } else {
        self.value.emplace(std::apply(invoke, *self.call));
      }
      self.ended_by = GreenletOutcome::value;
    } catch (...) {
      keep_exception(self);
    }
    {
      const Uncancellable destructors_may_park;
      self.call.reset();
    }
    end_greenlet(self);
  }

  static void destroy(Task& task) noexcept {
    auto* self = static_cast<GreenletBody*>(&task);
    self->~GreenletBody();
    release_block(self, sizeof(GreenletBody));
  }

  static constexpr TaskOps ops{&run,           &destroy,  &abandoned_greenlet, &describe_greenlet,
                               &stop_greenlet, &typeid(F)};

  std::optional<std::tuple<F, A...>> call;
};

// Of that hub, which it must still be started on.
template <class F, class... A>
auto* make_greenlet(Hub& hub, F f, A... a) {
  using T = std::invoke_result_t<F, A...>;
  static_assert(!std::is_reference_v<T>,
                "a greenlet's result is kept: return a value, or a std::reference_wrapper");
  using Body = GreenletBody<T, F, A...>;
  void* block = allocate_block(sizeof(Body));
  Body* body = nullptr;
  try {
    body = new (block) Body(std::move(f), std::move(a)...);
  } catch (...) {
    release_block(block, sizeof(Body));
    throw;
  }
  body->home = &hub.port();
  hub.adopt(*body);
  return static_cast<GreenletOf<T>*>(body);
}

void start_greenlet_later(GreenletTask& task, std::chrono::nanoseconds delay);

// What Greenlet<T> does without knowing T.
class GreenletHandle {
 public:
  GreenletHandle() = default;
  GreenletHandle(const GreenletHandle& other) noexcept : task_(other.task_) {
    if (task_) add_reference(*task_);
  }
  GreenletHandle(GreenletHandle&& other) noexcept : task_(std::exchange(other.task_, nullptr)) {}
  GreenletHandle& operator=(GreenletHandle other) noexcept {
    std::swap(task_, other.task_);
    return *this;
  }
  ~GreenletHandle() {
    if (task_) drop_reference(*task_);
  }

  // **Blocks.** until it has ended; false if the wait was over first. As Greenlet.join.
  bool join(Wait wait = Wait::forever()) const;
  // **Blocks.** until it has ended or the wait is over. Throws `exception` (GreenletExit by
  // default) into it at its next suspension point; it may catch that and go on. One that has not
  // started never runs. As Greenlet.kill.
  void kill(std::exception_ptr exception = {}, Wait wait = Wait::forever()) const;

  // It was started and has not ended.
  bool started() const;
  // It has ended.
  bool ready() const { return task().has_ended(); }
  // It ended by returning, or by GreenletExit.
  bool successful() const;
  // What it ended by, unless successful.
  std::exception_ptr exception() const;

  // f runs in a greenlet of its own once this one has ended; soon, if it already has. In
  // registration order. As Greenlet.link, link_value and link_exception.
  void on_exit(std::function<void(const green::Greenlet<>&)> f) const;
  void on_value(std::function<void(const green::Greenlet<>&)> f) const;
  void on_exception(std::function<void(const green::Greenlet<>&)> f) const;

  explicit operator bool() const { return task_ != nullptr; }
  friend bool operator==(const GreenletHandle& a, const GreenletHandle& b) {
    return a.task_ == b.task_;
  }

  // For the runtime.
  GreenletTask& task() const;
  explicit GreenletHandle(GreenletTask& task) noexcept : task_(&task) { add_reference(task); }
  // The first handle of a task that nobody else knows yet: a store instead of an atomic exchange.
  struct First {};
  GreenletHandle(GreenletTask& task, First) noexcept : task_(&task) {
    task.references.store(2, std::memory_order_relaxed);
  }

 protected:
  // join, then rethrow what it ended by; TimeoutError if the wait was over first.
  void wait_for_value(Wait wait) const;

 private:
  GreenletTask* task_ = nullptr;
};

}  // namespace detail

namespace green {

template <class T>
class Greenlet : public detail::GreenletHandle {
 public:
  using GreenletHandle::GreenletHandle;

  // **Blocks.** until it has ended. A copy of what the body returned; rethrows what it threw
  // (GreenletExit if it was killed); TimeoutError if the wait was over first. As Greenlet.get.
  T get(Wait wait = Wait::forever()) const {
    wait_for_value(wait);
    if constexpr (!std::is_void_v<T>) return *static_cast<detail::GreenletOf<T>&>(task()).value;
  }

  operator Greenlet<>() const requires(!std::is_void_v<T>) { return Greenlet<>(task()); }

  // Its pid as an actor; it becomes one if it was none. Needs actors.h. Only on the greenlet's hub:
  // std::logic_error on another.
  Pid pid() const;
};

// A greenlet that runs f(a...), at the end of this hub's ready queue; never at once. As
// gevent.spawn.
template <class F, class... A>
auto spawn(F f, A... a) -> Greenlet<std::invoke_result_t<F, A...>> {
  Hub& hub = Hub::current();
  auto* task = detail::make_greenlet(hub, std::move(f), std::move(a)...);
  Greenlet<std::invoke_result_t<F, A...>> handle(*task, detail::GreenletHandle::First());
  hub.start(*task);
  return handle;
}

// The same after a delay; it counts as started from now on. As gevent.spawn_later.
template <class F, class... A>
auto spawn_later(std::chrono::nanoseconds delay, F f, A... a)
    -> Greenlet<std::invoke_result_t<F, A...>> {
  Hub& hub = Hub::current();
  auto* task = detail::make_greenlet(hub, std::move(f), std::move(a)...);
  Greenlet<std::invoke_result_t<F, A...>> handle(*task, detail::GreenletHandle::First());
  detail::start_greenlet_later(*task, delay);
  return handle;
}

// **Blocks.** until all have ended or the wait is over. Those that have: first those that had
// before, then the others of this hub in the order in which they ended, then those of other hubs.
// As gevent.joinall.
std::vector<Greenlet<>> joinall(const std::vector<Greenlet<>>& greenlets,
                                Wait wait = Wait::forever());

// **Blocks.** until all have ended or the wait is over. As gevent.killall.
void killall(const std::vector<Greenlet<>>& greenlets, std::exception_ptr exception = {},
             Wait wait = Wait::forever());

}  // namespace green
}  // namespace greenroom
