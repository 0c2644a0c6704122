// What the parts of greenlets share: work on a greenlet's own hub, its end before its start.
#pragma once

#include <optional>
#include <string>
#include <thread>

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/turn.h"
#include "greenroom/scheduler/time/timer_wheel.h"

namespace greenroom::detail {

// What few greenlets have. Made on demand, gone with the task.
struct GreenletExtras {
  struct StartTimer final : TimerNode {
    GreenletTask* task = nullptr;
  };
  GreenletExtras() = default;
  ~GreenletExtras();
  GreenletExtras(const GreenletExtras&) = delete;
  GreenletExtras& operator=(const GreenletExtras&) = delete;

  StartTimer start_timer;  // of spawn_later, armed until it fires
  // Under the lock in greenlet_name.cc.
  std::optional<std::string> name = {};
  Port* port = nullptr;  // whose ident it has; null: none
  int ident = 0;
};

// Empty if nobody has set it or asked for it.
std::string name_if_any(const GreenletTask& task);

// One that waits for its start is started.
void start_now(GreenletTask& task);

// True: it is a greenlet's, and not one of another kind.
inline bool is_greenlet(const Task& task) { return task.ops->stop == &stop_greenlet; }

// It has ended, and its turn of this hub has not passed.
inline bool is_being_told_here(const GreenletTask& task) {
  return task.home == &Hub::current().port() && task.is_being_told;
}

// Wakes it, in its place if there is one. True: it runs first, in the turn.
inline bool wake_in(Turn* turn, const Waker& waker) noexcept {
  if (turn) return turn->resume_first(waker);
  waker.wake();
  return false;
}

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

}  // namespace greenroom::detail
