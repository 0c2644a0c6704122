// green::Greenlet: a green thread with a result, as gevent.Greenlet.
//
// A handle is one shared word. Any thread may hold, copy and drop one; join, get, kill and links
// work from any hub. Dropping the last handle neither joins nor kills.
//
// Over 400 lines, because it is one face with a contract for each name of gevent's.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/hub/park.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom {

struct Pid;

namespace green {
template <class T = void>
class Greenlet;
template <class T>
class AsyncResult;
class Link;
}  // namespace green

namespace detail {

struct Callback;
struct GreenletExtras;
struct GreenletTask;
class Turn;

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

// One that is told in the turn of the end: its place in the ready queue, behind everything that was
// ready when the greenlet ended. What it makes run runs in that place.
struct PlacedObserver : ExitObserver {
  // Null: there is no such turn. True: it has made something run first in it (turn.h), so nobody
  // else is told before that has parked or ended.
  using Tell = bool (*)(PlacedObserver& observer, GreenletTask& task, Turn* turn) noexcept;
  // It only wakes a waiter, which gets that same place when it is told at the end itself.
  enum class Needs : std::uint8_t { turn, nothing };
  PlacedObserver(Tell function, Needs what) : ExitObserver(nullptr), tell(function), needs(what) {}
  const Tell tell;
  const Needs needs;
};

// Its head; in registration order.
class ObserverRing : public ExitObserver {
 public:
  ObserverRing() : ExitObserver(nullptr) { next = previous = this; }
  ObserverRing(const ObserverRing&) = delete;
  ObserverRing& operator=(const ObserverRing&) = delete;

  bool empty() const { return next == this; }
  void push_back(ExitObserver& observer) noexcept;
  // All of them, each taken off before. True: the rest is told later, in a turn. Without one: at
  // the greenlet's end itself.
  bool tell_all(GreenletTask& task, Turn* turn) noexcept;
};

enum class GreenletOutcome : std::uint8_t { pending, value, killed, error };

struct GreenletTask : Task {
  explicit GreenletTask(const TaskOps& task_ops);
  ~GreenletTask();

  // On the greenlet's hub; it must not have ended.
  void add_observer(ExitObserver& observer) noexcept;
  // The same, but if it has ended the observer is told in a turn of this hub.
  void observe(PlacedObserver& observer) noexcept;
  bool has_ended() const {
    return outcome.load(std::memory_order_acquire) != GreenletOutcome::pending;
  }

  ObserverRing observers;
  Port* home = nullptr;                                 // its hub's, which may be gone before it
  std::exception_ptr error;                             // of the outcome error
  std::atomic<GreenletExtras*> extras = nullptr;        // what few have: a timer, a name
  GreenletOutcome ended_by = GreenletOutcome::pending;  // what outcome will be
  bool is_ended_by_killer = false;                      // it was killed before it started
  bool is_being_told = false;                           // a turn of its end has a place, or runs
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
// The body is over and its callable destroyed: publishes the outcome and tells the observers.
void end_greenlet(GreenletTask& task) noexcept;

// The ops of every kind of greenlet.
struct GreenletOps : TaskOps {
  // Of one that never runs: its callable goes.
  void (*drop_call)(GreenletTask&);
};

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
    // Killed before its first instruction: it never runs, and its killer ends it.
    if ((task.attention & attention::throws) != 0 && self.is_ended_by_killer) [[unlikely]]
      return;
    try {
      throw_pending(task);
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
      if (self.interrupts) end_locals(self);
    }
    end_greenlet(self);
  }

  static void drop(GreenletTask& task) {
    const Uncancellable destructors_may_park;
    static_cast<GreenletBody&>(task).call.reset();
  }

  static void destroy(Task& task) noexcept {
    auto* self = static_cast<GreenletBody*>(&task);
    self->~GreenletBody();
    release_block(self, sizeof(GreenletBody));
  }

  static constexpr GreenletOps ops{
      {&run, &destroy, &abandoned_greenlet, &describe_greenlet, &stop_greenlet, &typeid(F)}, &drop};

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

// What a handle is of: of getcurrent()'s for a root greenlet or an actor, that task.
Task& task_behind(GreenletTask& task) noexcept;

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
  // **Blocks.** until it has ended or the wait is over; a poll tells it and does not wait. Throws
  // `exception` (GreenletExit by default) into it, in a turn behind all who are ready now, or at
  // its next suspension point after that; it may catch that and go on. One that has not started
  // ends at once and never runs. As Greenlet.kill.
  void kill(std::exception_ptr exception = {}, Wait wait = Wait::forever()) const;

  // It was started, or is to start later, and has not ended.
  bool started() const;
  // It has ended.
  bool ready() const { return task().has_ended(); }
  // It ended by returning, or by GreenletExit.
  bool successful() const;
  // What it ended by, unless successful.
  std::exception_ptr exception() const;

  // f runs in a greenlet of its own once this one has ended, in the turn of the end; in a later
  // turn, if it already has. In registration order; an error in one is reported and does not stop
  // the others. As Greenlet.link, link_value and link_exception. The Link is for unlink().
  green::Link on_exit(std::function<void(const green::Greenlet<>&)> f) const;
  green::Link on_value(std::function<void(const green::Greenlet<>&)> f) const;
  green::Link on_exception(std::function<void(const green::Greenlet<>&)> f) const;
  // The same, but f is called as hub work: what blocks throws std::logic_error there. As
  // Greenlet.rawlink.
  green::Link rawlink(std::function<void(const green::Greenlet<>&)> f) const;
  // What that link was to call is not called any more, unless it has been; during notification,
  // too. A link of another greenlet's stays. Any thread. As Greenlet.unlink.
  void unlink(const green::Link& link) const;
  // Somebody has linked to it, joins it or waits for it. On its own hub. As Greenlet.has_links.
  bool has_links() const;

  // For people: in dumps, and in the report of an error. "Greenlet-" and the minimal_ident() unless
  // it was set. Any thread. As Greenlet.name.
  std::string name() const;
  void set_name(std::string name) const;
  // The lowest number that no other greenlet of its hub has which was asked for its own; free again
  // when this one is gone, with its handles. Any thread. As Greenlet.minimal_ident.
  int minimal_ident() const;

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

// What a link call returns, for unlink(). A shared word; an empty one is nobody's.
class Link {
 public:
  Link() = default;

 private:
  friend class detail::GreenletHandle;
  explicit Link(std::shared_ptr<detail::Callback> callback) : callback_(std::move(callback)) {}
  std::shared_ptr<detail::Callback> callback_;
};

template <class F, class... A>
auto spawn(F f, A... a) -> Greenlet<std::invoke_result_t<F, A...>>;

template <class T>
class Greenlet : public detail::GreenletHandle {
 public:
  using GreenletHandle::GreenletHandle;

  // **Blocks.** until it has ended. A copy of what the body returned; rethrows what it threw
  // (GreenletExit if it was killed); TimeoutError if the wait was over first. As Greenlet.get.
  T get(Wait wait = Wait::forever()) const {
    wait_for_value(wait);
    if constexpr (!std::is_void_v<T>) return *result();
  }
  // **Blocks.** likewise, and throws so. What the body returned, moved out: for one reader, and
  // whoever asks later gets what is left of it.
  T take(Wait wait = Wait::forever()) requires(!std::is_void_v<T>) {
    wait_for_value(wait);
    return std::move(*result());
  }
  // A copy of what the body returned; nothing before that, or if it did not return. As
  // Greenlet.value.
  std::optional<T> value() const requires(!std::is_void_v<T>) {
    return ready() && successful() ? result() : std::nullopt;
  }

  // gevent's names of on_exit, on_value and on_exception; f may also take a Greenlet<T>. A result
  // as the target, which must live until then, gets what the greenlet ends by.
  template <std::invocable<const Greenlet<T>&> F>
  Link link(F f) const {
    return on_exit(with_handle(std::move(f)));
  }
  template <std::invocable<const Greenlet<T>&> F>
  Link link_value(F f) const {
    return on_value(with_handle(std::move(f)));
  }
  template <std::invocable<const Greenlet<T>&> F>
  Link link_exception(F f) const {
    return on_exception(with_handle(std::move(f)));
  }
  Link link(AsyncResult<T>& result) const { return link(into(result)); }
  Link link_value(AsyncResult<T>& result) const { return link_value(into(result)); }
  Link link_exception(AsyncResult<T>& result) const { return link_exception(into(result)); }

  // As green::spawn: gevent's Greenlet.spawn.
  template <class F, class... A>
  static auto spawn(F f, A... a) -> Greenlet<std::invoke_result_t<F, A...>> {
    return green::spawn(std::move(f), std::move(a)...);
  }

  operator Greenlet<>() const requires(!std::is_void_v<T>) { return Greenlet<>(task()); }

  // Its pid as an actor; it becomes one if it was none. Needs actors.h. Only on the greenlet's hub:
  // std::logic_error on another.
  Pid pid() const;

 private:
  std::optional<T>& result() const requires(!std::is_void_v<T>) {
    return static_cast<detail::GreenletOf<T>&>(task()).value;
  }
  static auto into(AsyncResult<T>& result) {
    return [&result](const Greenlet<T>& ended) { result(ended); };
  }
  template <class F>
  static std::function<void(const Greenlet<>&)> with_handle(F f) {
    return [f = std::move(f)](const Greenlet<>& ended) mutable {
      const Greenlet<T> handle(ended.task());
      std::invoke(f, handle);
    };
  }
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

// Any range of greenlets of any type: a std::vector<Greenlet<int>>, say.
template <class R>
concept RangeOfGreenlets = std::ranges::input_range<R> &&
    std::convertible_to<std::ranges::range_reference_t<R>, Greenlet<>>;
// The same where a std::vector<Greenlet<>> has an overload of its own.
template <class R>
concept GreenletRange =
    RangeOfGreenlets<R> && !std::same_as<std::remove_cvref_t<R>, std::vector<Greenlet<>>>;

struct JoinOptions {
  std::size_t count = 0;     // that so many have ended is enough; 0: all
  bool raise_error = false;  // the first that fails ends the wait, and its error is rethrown
};

// **Blocks.** until all have ended, or what the options say, or the wait is over. Those that have,
// in the order in which they ended; in front those that had before, in the order given. As
// gevent.joinall.
std::vector<Greenlet<>> joinall(const std::vector<Greenlet<>>& greenlets,
                                Wait wait = Wait::forever(), JoinOptions options = {});
template <GreenletRange R>
std::vector<Greenlet<>> joinall(R&& greenlets, Wait wait = Wait::forever(),
                                JoinOptions options = {}) {
  return joinall(
      std::vector<Greenlet<>>(std::ranges::begin(greenlets), std::ranges::end(greenlets)), wait,
      options);
}

// **Blocks.** until all have ended. Throws `exception` (GreenletExit by default) into each of them
// once, all in one turn behind those who are ready now; one that has not started ends at once and
// never runs. TimeoutError if the wait was over first; a poll tells all before it is thrown. As
// gevent.killall; for its block=False: kill().
void killall(const std::vector<Greenlet<>>& greenlets, std::exception_ptr exception = {},
             Wait wait = Wait::forever());
template <GreenletRange R>
void killall(R&& greenlets, std::exception_ptr exception = {}, Wait wait = Wait::forever()) {
  killall(std::vector<Greenlet<>>(std::ranges::begin(greenlets), std::ranges::end(greenlets)),
          std::move(exception), wait);
}

// Throws `exception` (GreenletExit by default) into it as Greenlet::kill does, and does not wait.
// Any thread; the running greenlet, too, at a suspension point after that. As gevent.kill, and as
// gevent.killall(block=False).
void kill(const Greenlet<>& greenlet, std::exception_ptr exception = {});
void kill(const std::vector<Greenlet<>>& greenlets, std::exception_ptr exception = {});
template <GreenletRange R>
void kill(R&& greenlets, std::exception_ptr exception = {}) {
  kill(std::vector<Greenlet<>>(std::ranges::begin(greenlets), std::ranges::end(greenlets)),
       std::move(exception));
}

// The running greenlet: a root greenlet or an actor has a handle, too, to be compared, killed and
// joined. std::logic_error in hub work. As gevent.getcurrent.
Greenlet<> getcurrent();

// **Blocks.** until nobody is ready on this hub: who is ready now, and who becomes so meanwhile,
// has its turn first. As gevent.idle.
void idle();

// Older names of gevent's.
inline bool join(const Greenlet<>& greenlet, Wait wait = Wait::forever()) {
  return greenlet.join(wait);
}
template <class F, class... A>
auto timer(std::chrono::nanoseconds delay, F f, A... a) {
  return spawn_later(delay, std::move(f), std::move(a)...);
}

}  // namespace green
}  // namespace greenroom
