// spawn and its kin: an actor that runs a function.
#pragma once

#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "greenroom/actors/core/actor.h"
#include "greenroom/actors/values/options.h"
#include "greenroom/actors/values/pid.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/memory/block_pool.h"

namespace greenroom {

namespace detail {

// Task and actor in one block.
struct ActorTask : Task {
  explicit ActorTask(const TaskOps& task_ops, ActorState first = ActorState::running)
      : Task(task_ops), actor(*this, first) {
    extension = &actor;
  }
  Actor actor;
};

// What a spawn is to do besides starting the actor.
struct SpawnRequest {
  const SpawnOptions* options = nullptr;  // null: all defaults
  bool link = false;
  MonitorRef* monitor = nullptr;
};

// Gives it a pid, links, monitors, names and places it, and starts it. Throws BadName if the name
// is taken (the task is destroyed).
Pid start_actor(ActorTask& task, const SpawnRequest& request);
// The same with all defaults.
Pid start_actor(ActorTask& task);

template <class F, class... A>
struct ActorBody final : ActorTask {
  ActorBody(F f, A... a) : ActorTask(ops), call(std::in_place, std::move(f), std::move(a)...) {}

  static void run(Task& task) {
    auto& self = static_cast<ActorBody&>(task);
    std::optional<ExitReason> failure;
    try {
      throw_pending(task);  // told to exit before its first line: it never runs
      std::apply([](F& f, A&... a) { std::invoke(std::move(f), std::move(a)...); }, *self.call);
    } catch (const ActorExit& exit) {
      failure = exit.reason();
    } catch (...) {
      failure = reason_of_current_exception();
    }
    self.finish(failure ? *failure : Reason::normal);
  }

  void finish(const ExitReason& reason) noexcept {
    if constexpr (std::is_trivially_destructible_v<std::tuple<F, A...>>) {
      call.reset();
    } else {
      const EndingScope ending(actor);
      call.reset();
    }
    if (interrupts) [[unlikely]] {
      const EndingScope ending(actor);
      end_locals(*this);
    }
    end_actor(actor, reason);
  }

  static void destroy(Task& task) noexcept {
    auto* self = static_cast<ActorBody*>(&task);
    self->~ActorBody();
    release_block(self, sizeof(ActorBody));
  }

  static constexpr TaskOps ops{&run,        &destroy,  &abandoned_actor, &describe_actor,
                               &stop_actor, &typeid(F)};

  std::optional<std::tuple<F, A...>> call;
};

template <class F, class... A>
ActorTask& make_actor(F f, A... a) {
  static_assert(std::is_invocable_v<F, A...>, "spawn(f, a...): f must be callable with a...");
  using Body = ActorBody<F, A...>;
  void* block = allocate_block(sizeof(Body));
  try {
    return *new (block) Body(std::move(f), std::move(a)...);
  } catch (...) {
    release_block(block, sizeof(Body));
    throw;
  }
}

template <class T>
inline constexpr bool is_spawn_options = std::is_same_v<std::remove_cvref_t<T>, SpawnOptions>;

}  // namespace detail

struct Monitored {
  Pid pid;
  MonitorRef ref;
};

// A new actor that runs f(a...), which were moved into it. It starts at the end of its hub's ready
// queue, never at once. As erlang:spawn/1. With SpawnOptions first: BadName if the name is taken,
// std::invalid_argument for a stack over 256 MiB, std::system_error if there can be no thread of
// its own. If it throws, f and a... are destroyed.
template <class F, class... A>
requires(!detail::is_spawn_options<F>) Pid spawn(F f, A... a) {
  return detail::start_actor(detail::make_actor(std::move(f), std::move(a)...));
}
template <class F, class... A>
Pid spawn(SpawnOptions options, F f, A... a) {
  return detail::start_actor(detail::make_actor(std::move(f), std::move(a)...),
                             {.options = &options});
}

// The same, linked to the caller before its first line. As erlang:spawn_link/1.
template <class F, class... A>
requires(!detail::is_spawn_options<F>) Pid spawn_link(F f, A... a) {
  return detail::start_actor(detail::make_actor(std::move(f), std::move(a)...), {.link = true});
}
template <class F, class... A>
Pid spawn_link(SpawnOptions options, F f, A... a) {
  return detail::start_actor(detail::make_actor(std::move(f), std::move(a)...),
                             {.options = &options, .link = true});
}

// The same, monitored by the caller before its first line. As erlang:spawn_monitor/1.
template <class F, class... A>
requires(!detail::is_spawn_options<F>) Monitored spawn_monitor(F f, A... a) {
  Monitored result;
  result.pid = detail::start_actor(detail::make_actor(std::move(f), std::move(a)...),
                                   {.monitor = &result.ref});
  return result;
}
template <class F, class... A>
Monitored spawn_monitor(SpawnOptions options, F f, A... a) {
  Monitored result;
  result.pid = detail::start_actor(detail::make_actor(std::move(f), std::move(a)...),
                                   {.options = &options, .monitor = &result.ref});
  return result;
}

}  // namespace greenroom
