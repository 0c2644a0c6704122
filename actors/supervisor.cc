#include "greenroom/actors/supervisor.h"

#include <algorithm>
#include <cstdlib>

#include "greenroom/actors/crash_report.h"
#include "greenroom/actors/info.h"
#include "greenroom/actors/registry.h"
#include "greenroom/actors/signals.h"
#include "greenroom/actors/supervisor_core.h"
#include "greenroom/mailbox/receive.h"

namespace greenroom {

namespace detail {

// One child.

Outcome<Pid> start_one(const ChildSpec& spec) {
  try {
    return spec.start(spec.options.id);
  } catch (const StartError& error) {
    if (error.reason().tag() == "ignore") return Pid{};
    return error.reason();
  } catch (const BadName& error) {
    return ExitReason("already_started", whereis(spec.options.id).value_or(Pid{}));
  } catch (const ActorExit&) {
    throw;  // the supervisor's own
  } catch (const green::GreenletExit&) {
    throw;
  } catch (const TimeoutError&) {
    throw;
  } catch (...) {
    return reason_of_current_exception();
  }
}

bool wants_restart(const ChildSpec& spec, const ExitReason& reason) {
  switch (spec.options.restart) {
    case Restart::permanent:
      return true;
    case Restart::transient:
      return !reason.is_quiet();
    case Restart::temporary:
      return false;
  }
  return false;
}

namespace {

constexpr std::chrono::seconds late_report_period(5);
constexpr std::chrono::seconds answer_time(1);  // of a hub that may be stuck

// Its Exit is not to be read as that of a running child. A reason in it is the true one: a monitor
// that came after the exit was accepted knows only that there is nobody.
void forget_exit_of(Pid pid, ExitReason& reason) {
  unlink(pid);
  const detail::MessagePointer exit = current_actor().mailbox.remove_first_if(
      [&](Message& message) { return message.is<Exit>() && message.as<Exit>().from == pid; });
  if (exit) reason = exit->as<Exit>().reason;
}

// It was to be killed and has not ended: it does not come to a suspension point, or swallows its
// exit.
void report_late(const ChildState& child) {
  const std::optional<std::string> stack = current_stack_within(child.pid, answer_time);
  log_line("child '" + child.id + "' " + child.pid.to_string() + " does not end; " +
           (stack ? "it runs at\n" + *stack : "nothing else runs on its hub any more"));
}

// Waits for the Down; nothing if the wait was over first.
std::optional<ExitReason> wait_for_down(MonitorRef ref, Wait wait) {
  return receive(when([&](const Down& down) { return down.ref == ref; },
                      [](const Down& down) { return std::optional<ExitReason>(down.reason); }),
                 after(wait, [] { return std::optional<ExitReason>(); }));
}

void report_shutdown_error(const ChildState& child, const ExitReason& reason) {
  const bool is_expected =
      reason == Reason::shutdown || reason == Reason::noproc ||
      (reason.is_quiet() && child.spec.options.restart != Restart::permanent) ||
      (reason == Reason::killed && child.spec.options.shutdown.is_brutal());
  if (!is_expected)
    log_line("child '" + child.id + "' " + child.pid.to_string() + " ended with " +
             reason.to_string() + " at its shutdown");
}

// How it ended: a Down, or that its hub does not answer any more. Then its names are freed here, as
// others are to have them.
ExitReason abandon_and_wait(const ChildState& child, MonitorRef ref) {
  send_signal({SignalKind::abandon, self(), child.pid});
  if (const auto reason = wait_for_down(ref, answer_time)) return *reason;
  demonitor(ref);
  for (const std::string& name : names_of(child.pid)) free_name(name, child.pid);
  return Reason::killed;
}

// It was killed: how it ended. One that has not by `late_at` is reported, again and again, or its
// policy applies.
ExitReason wait_for_killed(const ChildState& child, MonitorRef ref, clock::time_point late_at) {
  for (;;) {
    if (const auto reason = wait_for_down(ref, late_at)) return *reason;
    report_late(child);
    switch (child.spec.options.unkillable) {
      case Unkillable::wait:
        break;
      case Unkillable::abandon:
        return abandon_and_wait(child, ref);
      case Unkillable::abort:
        std::abort();
    }
    late_at = clock::now() + late_report_period;
  }
}

void note_end(ChildState& child, ExitReason reason) {
  forget_exit_of(child.pid, reason);
  report_shutdown_error(child, reason);
  child.pid = Pid{};
}

}  // namespace

void terminate_one(ChildState& child) {
  // Monitored, as the child may have unlinked itself.
  const MonitorRef ref = monitor(child.pid);
  std::optional<ExitReason> reason;
  if (!child.spec.options.shutdown.is_brutal()) {
    exit(child.pid, Reason::shutdown);
    reason = wait_for_down(ref, child.spec.options.shutdown.wait());
  }
  if (!reason) {
    exit(child.pid, Reason::kill);
    reason = wait_for_killed(child, ref, clock::now() + late_report_period);
  }
  note_end(child, *reason);
}

void terminate_many(const std::vector<ChildState*>& children) {
  struct Ending {
    ChildState& child;
    MonitorRef ref;
    clock::time_point late_at = {};  // killed: when it should have ended
    std::optional<ExitReason> reason = {};
  };
  const auto kill = [](Ending& ending) {
    exit(ending.child.pid, Reason::kill);
    ending.late_at = clock::now() + late_report_period;
  };
  std::vector<Ending> endings;
  std::int64_t deadline = 0;
  for (ChildState* child : children) {
    Ending& ending = endings.emplace_back(Ending{*child, monitor(child->pid)});
    const Shutdown& shutdown = child->spec.options.shutdown;
    if (shutdown.is_brutal()) {
      kill(ending);
    } else {
      exit(child->pid, Reason::shutdown);
      deadline = std::max(deadline, shutdown.wait().to_deadline());
    }
  }
  for (Ending& ending : endings) {
    if (!ending.child.spec.options.shutdown.is_brutal())
      ending.reason = wait_for_down(ending.ref, to_wait(deadline));
  }
  for (Ending& ending : endings) {
    if (!ending.reason && !ending.child.spec.options.shutdown.is_brutal()) kill(ending);
  }
  for (Ending& ending : endings) {
    if (!ending.reason) ending.reason = wait_for_killed(ending.child, ending.ref, ending.late_at);
    note_end(ending.child, *ending.reason);
  }
}

void give_up(SupervisorCore& core, const std::string& id) {
  log_line("supervisor " + self().to_string() + " has reached its restart intensity with child '" +
           id + "' and shuts down");
  core.terminate_all();
  stop(ExitReason("shutdown", "reached_max_restart_intensity"));  // run() tells it by the detail
}

std::optional<std::string> problem_of(const ChildSpec& spec, AutoShutdown auto_shutdown) {
  const std::string child = "child '" + spec.options.id + "'";
  if (!spec.start) return child + " has no start: make it with child() or supervisor()";
  if (!spec.options.significant) return std::nullopt;
  if (auto_shutdown == AutoShutdown::never)
    return child + " is significant, but auto_shutdown is never";
  if (spec.options.restart == Restart::permanent)
    return child + " is significant and permanent: it never ends for good";
  return std::nullopt;
}

void check_tree(const ChildSpec& tree) {
  if (!tree.start)
    throw std::invalid_argument("the tree has no start: make it with supervisor() or child()");
}

void check_options(int intensity, std::chrono::nanoseconds period) {
  if (intensity < 0) throw std::invalid_argument("supervisor: the intensity is negative");
  if (period.count() <= 0) throw std::invalid_argument("supervisor: the period must be positive");
}

// The server.

SupervisorServer::SupervisorServer(SupervisorOptions options)
    : core(make_static_supervisor(std::move(options))) {
  core->start_children();
}

SupervisorServer::SupervisorServer(DynamicOptions options)
    : core(make_dynamic_supervisor(std::move(options))) {}

void SupervisorServer::handle(Message& message) {
  if (message.is<TryAgain>()) return core->try_again(message.as<TryAgain>().number);
  if (message.is<Down>()) return;  // of a child that was ended meanwhile
  log_line("supervisor " + self().to_string() + " dropped a message of type " +
           message.type_name());
}

namespace {

ServerRef<SupervisorServer> server_of(const Supervisor& supervisor) {
  return ServerRef<SupervisorServer>(supervisor.pid());
}

template <class R>
R value_or_throw(Outcome<R> outcome) {
  if (!outcome) throw ChildError(outcome.reason());
  if constexpr (!std::is_void_v<R>) return *std::move(outcome);
}

void check_children(const SupervisorOptions& options) {
  std::vector<std::string> ids;
  for (const ChildSpec& spec : options.children) {
    if (!spec.options.id.empty()) ids.push_back(spec.options.id);
    if (const auto problem = problem_of(spec, options.auto_shutdown))
      throw std::invalid_argument("supervisor: " + *problem);
  }
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  if (twice != ids.end())
    throw std::invalid_argument("supervisor: two children have the id '" + *twice + "'");
}

}  // namespace
}  // namespace detail

ChildSpec supervisor(SupervisorOptions options) {
  detail::check_options(options.intensity, options.period);
  detail::check_children(options);
  ChildSpec spec;
  spec.options = {.id = options.id, .shutdown = Shutdown::infinity()};
  spec.is_supervisor = true;
  spec.start = [options = std::move(options)](const std::string& id) {
    return start_link<detail::SupervisorServer>(SpawnOptions{.name = id, .label = "supervisor"},
                                                SupervisorOptions(options))
        .pid();
  };
  return spec;
}

ChildSpec dynamic_supervisor(DynamicOptions options) {
  detail::check_options(options.intensity, options.period);
  ChildSpec spec;
  spec.options = {.id = options.id, .shutdown = Shutdown::infinity()};
  spec.is_supervisor = true;
  spec.start = [options = std::move(options)](const std::string& id) {
    return start_link<detail::SupervisorServer>(
               SpawnOptions{.name = id, .label = "dynamic supervisor"}, DynamicOptions(options))
        .pid();
  };
  return spec;
}

Pid start_supervisor(const ChildSpec& tree) {
  detail::check_tree(tree);
  return tree.start(tree.options.id);
}

Pid Supervisor::pid() const { return pid_ ? pid_ : detail::pid_of_name(id_); }

Pid start_child(const Supervisor& supervisor, ChildSpec spec) {
  return detail::value_or_throw(
      call(detail::server_of(supervisor), detail::StartChild{std::move(spec)}, Wait::forever()));
}

std::vector<ChildInfo> which_children(const Supervisor& supervisor) {
  return call(detail::server_of(supervisor), detail::WhichChildren{}, Wait::forever());
}

ChildCounts count_children(const Supervisor& supervisor) {
  return call(detail::server_of(supervisor), detail::CountChildren{}, Wait::forever());
}

void terminate_child(const Supervisor& supervisor, std::string_view id) {
  detail::value_or_throw(call(detail::server_of(supervisor),
                              detail::TerminateChild{std::string(id), {}}, Wait::forever()));
}

void terminate_child(const Supervisor& supervisor, Pid child) {
  detail::value_or_throw(
      call(detail::server_of(supervisor), detail::TerminateChild{{}, child}, Wait::forever()));
}

void delete_child(const Supervisor& supervisor, std::string_view id) {
  detail::value_or_throw(
      call(detail::server_of(supervisor), detail::DeleteChild{std::string(id)}, Wait::forever()));
}

Pid restart_child(const Supervisor& supervisor, std::string_view id) {
  return detail::value_or_throw(
      call(detail::server_of(supervisor), detail::RestartChild{std::string(id)}, Wait::forever()));
}

}  // namespace greenroom
