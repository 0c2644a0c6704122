// What both kinds of supervisors share: the end of children, options, the server around a core, and
// the calls to it. Over 400 lines, as the parts are small and each needs the next.
#include "greenroom/actors/supervisor/supervisor.h"

#include <algorithm>
#include <cstdlib>

#include "greenroom/actors/core/crash_report.h"
#include "greenroom/actors/core/delivery.h"
#include "greenroom/actors/names/registry.h"
#include "greenroom/actors/supervisor/supervisor_core.h"
#include "greenroom/actors/verbs/end_collector.h"
#include "greenroom/actors/verbs/info.h"
#include "greenroom/scheduler/fiber/stack.h"
#include "greenroom/scheduler/hub/hub.h"

namespace greenroom {

namespace detail {

// One child.

Outcome<Pid> start_one(const ChildSpec& spec) {
  try {
    return spec.start(spec.options);
  } catch (const StartError& error) {
    if (error.reason().tag() == "ignore") return Pid{};
    return error.reason();
  } catch (const BadName& error) {
    return ExitReason("already_started", whereis(spec.options.name).value_or(Pid{}));
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

// It was to be killed and has not ended: it does not come to a suspension point, or swallows its
// exit.
void report_late(const ChildState& child) {
  const std::optional<std::string> stack = current_stack_within(child.pid(), answer_time);
  log_line("child '" + child.id + "' " + child.pid().to_string() + " does not end; " +
           (stack ? "it runs at\n" + *stack : "nothing else runs on its hub any more"));
}

void report_shutdown_error(const ChildState& child, const ExitReason& reason) {
  const bool is_expected =
      reason == Reason::shutdown || reason == Reason::noproc ||
      (reason.is_quiet() && child.spec.options.restart != Restart::permanent) ||
      (reason == Reason::killed && child.spec.options.shutdown.is_brutal());
  if (!is_expected)
    log_line("child '" + child.id + "' " + child.pid().to_string() + " ended with " +
             reason.to_string() + " at its shutdown");
}

// Children that are to end, which takes one walk through the supervisor's mail however many they
// are. All are monitored, as a child may have unlinked itself. Their Exits are taken with their
// Downs: they are not to be read as those of running children.
class Termination {
 public:
  // **Blocks.**
  explicit Termination(const std::vector<ChildState*>& children);
  // **Block.** until all have ended.
  void end_in_turn();
  void end_together();

 private:
  ChildState& child(std::size_t index) const { return *children_[index]; }
  const Shutdown& shutdown_of(std::size_t index) const {
    return child(index).spec.options.shutdown;
  }
  bool wait_for(std::size_t index, Wait wait);
  void kill(std::size_t index);
  void wait_for_killed(std::size_t index);
  void abandon(std::size_t index);
  void note_end(std::size_t index);

  const std::vector<ChildState*>& children_;
  EndCollector ends_{EndCollector::Takes::downs_and_exits};
  std::vector<clock::time_point>
      late_at_;  // of those that were killed: when they should have ended
  EndCollector::Walk walk_ = EndCollector::Walk::from_the_front;
};

// Others get their turns between one child and the next, here and where many are told to end: a
// hundred thousand take a while.
Termination::Termination(const std::vector<ChildState*>& children)
    : children_(children), late_at_(children.size()) {
  for (const ChildState* child : children_) {
    enter_blocking_call();
    ends_.add(child->pid(), monitor(child->pid()));
  }
}

bool Termination::wait_for(std::size_t index, Wait wait) {
  return ends_.wait_for(index, wait, std::exchange(walk_, EndCollector::Walk::go_on));
}

void Termination::kill(std::size_t index) {
  exit(child(index).pid(), Reason::kill);
  late_at_[index] = clock::now() + late_report_period;
}

// One that has not ended in time is reported, again and again, or its policy applies.
void Termination::wait_for_killed(std::size_t index) {
  while (!wait_for(index, late_at_[index])) {
    report_late(child(index));
    switch (child(index).spec.options.unkillable) {
      case Unkillable::wait:
        break;
      case Unkillable::abandon:
        return abandon(index);
      case Unkillable::abort:
        std::abort();
    }
    late_at_[index] = clock::now() + late_report_period;
  }
}

// There comes a Down, or its hub does not answer any more. Then its names are freed here, as others
// are to have them.
void Termination::abandon(std::size_t index) {
  const Pid pid = child(index).pid();
  send_signal({SignalKind::abandon, self(), pid});
  if (wait_for(index, answer_time)) return;
  demonitor(ends_.monitor_of(index));
  for (const std::string& name : names_of(pid)) free_name(name, pid);
  ends_.give_up(index, Reason::killed);
}

void Termination::note_end(std::size_t index) {
  unlink(child(index).pid());
  report_shutdown_error(child(index), ends_.reason(index));
  child(index).standing = ChildState::Undefined();
}

void Termination::end_in_turn() {
  for (std::size_t i = 0; i < children_.size(); ++i) {
    bool has_ended = false;
    if (!shutdown_of(i).is_brutal()) {
      exit(child(i).pid(), Reason::shutdown);
      has_ended = wait_for(i, shutdown_of(i).wait());
    }
    if (!has_ended) {
      kill(i);
      wait_for_killed(i);
    }
    note_end(i);
  }
}

// All are told first, and share the longest wait.
void Termination::end_together() {
  std::int64_t deadline = 0;
  for (std::size_t i = 0; i < children_.size(); ++i) {
    enter_blocking_call();
    if (shutdown_of(i).is_brutal()) {
      kill(i);
    } else {
      exit(child(i).pid(), Reason::shutdown);
      deadline = std::max(deadline, shutdown_of(i).wait().to_deadline());
    }
  }
  bool is_late = false;
  for (std::size_t i = 0; i < children_.size(); ++i) {
    if (shutdown_of(i).is_brutal() || ends_.has_ended(i)) continue;
    if (!is_late) is_late = !wait_for(i, to_wait(deadline));
    if (!is_late) continue;
    enter_blocking_call();
    kill(i);
  }
  for (std::size_t i = 0; i < children_.size(); ++i) {
    if (!ends_.has_ended(i)) wait_for_killed(i);
    note_end(i);
  }
}

}  // namespace

void terminate_in_turn(const std::vector<ChildState*>& children) {
  Termination(children).end_in_turn();
}

void terminate_together(const std::vector<ChildState*>& children) {
  Termination(children).end_together();
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
  if (spec.options.stack_size > StackPool::max_size)
    return child + " has a stack_size over 256 MiB";
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

// What options say.

ChildOptions checked(ChildOptions options) {
  check_stack_size("ChildOptions::stack_size", options.stack_size);
  return options;
}

SpawnOptions actor_options(const ChildOptions& options) {
  return {.name = options.name,
          .label = options.label.empty() ? options.id : options.label,
          .place = options.place,
          .stack_size = options.stack_size,
          .mailbox = options.mailbox};
}

SpawnOptions server_options(const ChildOptions& options) {
  return {.name = options.name.empty() ? options.id : options.name,
          .label = options.label,
          .place = options.place,
          .stack_size = options.stack_size,
          .mailbox = options.mailbox};
}

namespace {

// A supervisor's mail is not limited: it must hear of each end.
SpawnOptions supervisor_options(const ChildOptions& options, const char* label) {
  SpawnOptions made = server_options(options);
  if (made.label.empty()) made.label = label;
  made.mailbox = {};
  return made;
}

}  // namespace

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

namespace detail {

namespace {

// The start of a static supervisor. Its options are shared: starts and copies of a tree, however
// deep, copy one level. They are not changed but at their end.
struct SupervisorStart {
  std::shared_ptr<SupervisorOptions> options;
  Pid operator()(const ChildOptions& filled_in) const;
};

// Destroys a tree level by level: each in the destructor of the one above would need a stack as
// deep as the tree.
void destroy_options(SupervisorOptions* options) {
  std::vector<std::shared_ptr<SupervisorOptions>> below;
  const auto take_from = [&](SupervisorOptions& above) {
    for (ChildSpec& spec : above.children) {
      if (auto* start = spec.start.target<SupervisorStart>())
        below.push_back(std::move(start->options));
    }
  };
  take_from(*options);
  delete options;
  while (!below.empty()) {
    const std::shared_ptr<SupervisorOptions> next = std::move(below.back());
    below.pop_back();
    if (next.use_count() == 1) take_from(*next);
  }
}

Pid SupervisorStart::operator()(const ChildOptions& filled_in) const {
  return start_link<SupervisorServer>(supervisor_options(filled_in, "supervisor"),
                                      SupervisorOptions(*options))
      .pid();
}

}  // namespace
}  // namespace detail

ChildSpec supervisor(SupervisorOptions options) {
  detail::check_options(options.intensity, options.period);
  detail::check_children(options);
  ChildSpec spec;
  spec.options = {.id = options.id, .shutdown = Shutdown::infinity()};
  spec.is_supervisor = true;
  spec.start = detail::SupervisorStart{std::shared_ptr<SupervisorOptions>(
      new SupervisorOptions(std::move(options)), &detail::destroy_options)};
  return spec;
}

ChildSpec dynamic_supervisor(DynamicOptions options) {
  detail::check_options(options.intensity, options.period);
  detail::check_stack_size("DynamicOptions::stack_size", options.stack_size);
  ChildSpec spec;
  spec.options = {.id = options.id, .shutdown = Shutdown::infinity()};
  spec.is_supervisor = true;
  spec.start = [options = std::move(options)](const ChildOptions& filled_in) {
    return start_link<detail::SupervisorServer>(
               detail::supervisor_options(filled_in, "dynamic supervisor"), DynamicOptions(options))
        .pid();
  };
  return spec;
}

Pid start_supervisor(const ChildSpec& tree) {
  detail::check_tree(tree);
  return tree.start(tree.options);
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
