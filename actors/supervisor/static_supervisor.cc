// The supervisor whose children are given: one_for_one, one_for_all, rest_for_one.

#include <algorithm>

#include "greenroom/actors/core/crash_report.h"
#include "greenroom/actors/supervisor/supervisor_core.h"
#include "greenroom/actors/verbs/timers.h"
#include "greenroom/scheduler/memory/flat_index.h"

namespace greenroom::detail {

namespace {

class StaticSupervisor final : public SupervisorCore {
 public:
  explicit StaticSupervisor(SupervisorOptions options)
      : options_(std::move(options)), intensity_(options_.intensity, options_.period) {
    for (ChildSpec& spec : options_.children) add(std::move(spec));
    options_.children.clear();
  }

  void start_children() override;
  void child_ended(const Exit& exit) override;
  void try_again(std::uint64_t number) override;
  Outcome<Pid> start(ChildSpec spec) override;
  Outcome<void> terminate_child(const TerminateChild& request) override;
  Outcome<void> delete_child(const std::string& id) override;
  Outcome<Pid> restart_child(const std::string& id) override;
  std::vector<ChildInfo> which() const override;
  ChildCounts counts() const override;
  void terminate_all() override { terminate_range(0, children_.size()); }

 private:
  using Children = std::vector<std::unique_ptr<ChildState>>;

  ChildState& add(ChildSpec spec);
  std::string make_up_id();
  void erase(std::size_t position);
  ChildState* find(std::string_view id);
  Outcome<Pid> launch(ChildState& child);
  void restart(ChildState& child);
  std::chrono::nanoseconds pause() const;
  void end_group(const ChildState& child);
  void start_group(const ChildState& child);
  using AwaitingTry = ChildState::AwaitingTry;
  TryAgain await_try(ChildState& child, AwaitingTry::Does does);
  void pass_on(const ChildState& child);
  RestartPlan plan_for(const ChildState& child) const {
    return restart_plan(options_.strategy, child.position, children_.size());
  }
  void terminate_range(std::size_t first, std::size_t last);
  void check_auto_shutdown();

  SupervisorOptions options_;
  RestartIntensity intensity_;
  Children children_;  // in start order
  FlatIndex<Pid, ChildState*> running_;
  std::size_t made_up_ids_ = 0;
  std::uint64_t last_try_ = 0;
};

ChildState& StaticSupervisor::add(ChildSpec spec) {
  auto child = std::make_unique<ChildState>();
  child->id = spec.options.id.empty() ? make_up_id() : spec.options.id;
  child->spec = std::move(spec);
  child->position = children_.size();
  children_.push_back(std::move(child));
  return *children_.back();
}

// None that a child has, or that one yet to be added asks for.
std::string StaticSupervisor::make_up_id() {
  for (;;) {
    std::string id = "child_" + std::to_string(++made_up_ids_);
    const bool is_asked_for =
        std::any_of(options_.children.begin(), options_.children.end(),
                    [&](const ChildSpec& spec) { return spec.options.id == id; });
    if (!is_asked_for && !find(id)) return id;
  }
}

void StaticSupervisor::erase(std::size_t position) {
  children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(position));
  for (std::size_t i = position; i < children_.size(); ++i) children_[i]->position = i;
}

ChildState* StaticSupervisor::find(std::string_view id) {
  const auto found = std::find_if(children_.begin(), children_.end(),
                                  [&](const auto& child) { return child->id == id; });
  return found == children_.end() ? nullptr : found->get();
}

Outcome<Pid> StaticSupervisor::launch(ChildState& child) {
  Outcome<Pid> pid = start_one(child.spec);
  if (!pid) return pid;
  child.standing = ChildState::Undefined();
  if (!*pid) return pid;
  child.standing = ChildState::Running{*pid};
  running_.insert(*pid, &child);
  return pid;
}

void StaticSupervisor::start_children() {
  for (std::size_t i = 0; i < children_.size(); ++i) {
    ChildState& child = *children_[i];
    const Outcome<Pid> pid = launch(child);
    if (pid && !*pid && child.spec.options.restart == Restart::temporary) erase(i--);
    if (pid) continue;
    log_line("child '" + child.id + "' did not start: " + pid.reason().to_string());
    const ExitReason reason(
        "shutdown", "failed to start child '" + child.id + "': " + pid.reason().to_string());
    terminate_all();
    stop(reason);
  }
}

void StaticSupervisor::child_ended(const Exit& exit) {
  ChildState** const found = running_.find(exit.from);
  if (!found) return;  // no child of ours, or one that was ended on purpose
  ChildState& child = **found;
  running_.erase(exit.from);
  child.standing = ChildState::Undefined();
  if (wants_restart(child.spec, exit.reason)) return restart(child);
  const bool is_significant = child.spec.options.significant;
  if (child.spec.options.restart == Restart::temporary) erase(child.position);
  if (is_significant) check_auto_shutdown();
}

// A significant child has ended for good.
void StaticSupervisor::check_auto_shutdown() {
  const bool any_left = std::any_of(children_.begin(), children_.end(), [](const auto& child) {
    return child->spec.options.significant && (child->pid() || child->is_restarting());
  });
  if (options_.auto_shutdown == AutoShutdown::any_significant ||
      (options_.auto_shutdown == AutoShutdown::all_significant && !any_left)) {
    terminate_all();
    stop(Reason::shutdown);
  }
}

void StaticSupervisor::restart(ChildState& child) {
  if (!intensity_.admit(now_nanoseconds())) give_up(*this, child.id);
  const std::chrono::nanoseconds time = pause();
  end_group(child);
  if (time.count() == 0) return start_group(child);
  send_after(time, self(), await_try(child, AwaitingTry::Does::start_group));
}

// Before the restart that was just counted.
std::chrono::nanoseconds StaticSupervisor::pause() const {
  const std::size_t recent = intensity_.recorded();
  if (options_.backoff.initial.count() <= 0 || recent <= 1) return {};
  std::chrono::nanoseconds pause = options_.backoff.initial;
  for (std::size_t n = 2; n < recent && pause < options_.backoff.limit; ++n) pause *= 2;
  return std::min(pause, options_.backoff.limit);
}

// All that go with the child have ended, and are to start again.
void StaticSupervisor::end_group(const ChildState& child) {
  const RestartPlan plan = plan_for(child);
  terminate_range(plan.first, plan.last);
  for (std::size_t i = plan.last; i-- > plan.first;) {
    // Temporary siblings that went down with the group are not started again.
    if (children_[i]->spec.options.restart == Restart::temporary) erase(i);
  }
  const RestartPlan left = plan_for(child);
  for (std::size_t i = left.first; i < left.last; ++i)
    children_[i]->standing = ChildState::AwaitingGroup();
}

// Starts those of the group that still wait for it: during a pause some may have been ended for
// good, and others been added, which may have a pause of their own.
void StaticSupervisor::start_group(const ChildState& child) {
  const RestartPlan plan = plan_for(child);
  for (std::size_t i = plan.first; i < plan.last; ++i) {
    ChildState& next = *children_[i];
    if (!std::holds_alternative<ChildState::AwaitingGroup>(next.standing)) continue;
    const Outcome<Pid> pid = launch(next);
    if (pid) continue;
    log_line("child '" + next.id + "' did not start again: " + pid.reason().to_string());
    send(self(), await_try(next, AwaitingTry::Does::restart));
    return;
  }
}

// The child's group is restarting until what is returned comes.
TryAgain StaticSupervisor::await_try(ChildState& child, AwaitingTry::Does does) {
  child.standing = AwaitingTry{++last_try_, does};
  return {last_try_};
}

void StaticSupervisor::try_again(std::uint64_t number) {
  const auto found = std::find_if(children_.begin(), children_.end(), [&](const auto& child) {
    const auto* awaiting = std::get_if<AwaitingTry>(&child->standing);
    return awaiting && awaiting->number == number;
  });
  if (found == children_.end()) return;  // its wait has ended otherwise
  ChildState& child = **found;
  const AwaitingTry::Does does = std::get<AwaitingTry>(child.standing).does;
  child.standing = ChildState::AwaitingGroup();
  if (does == AwaitingTry::Does::start_group) return start_group(child);
  restart(child);
}

// The child is not to be started again: the others of its group are, when they would have been.
void StaticSupervisor::pass_on(const ChildState& child) {
  const auto* awaiting = std::get_if<AwaitingTry>(&child.standing);
  if (!awaiting) return;
  const RestartPlan plan = plan_for(child);
  for (std::size_t i = plan.first; i < plan.last; ++i) {
    ChildState& heir = *children_[i];
    if (!std::holds_alternative<ChildState::AwaitingGroup>(heir.standing)) continue;
    heir.standing = AwaitingTry{awaiting->number, AwaitingTry::Does::start_group};
    return;
  }
}

// The last one first.
void StaticSupervisor::terminate_range(std::size_t first, std::size_t last) {
  std::vector<ChildState*> running;
  for (std::size_t i = last; i-- > first;) {
    ChildState& child = *children_[i];
    if (const Pid pid = child.pid()) {
      running_.erase(pid);
      running.push_back(&child);
    } else {
      child.standing = ChildState::Undefined();
    }
  }
  if (!running.empty()) terminate_in_turn(running);
}

Outcome<Pid> StaticSupervisor::start(ChildSpec spec) {
  if (auto problem = problem_of(spec, options_.auto_shutdown))
    return ExitReason("bad_child", std::move(*problem));
  if (const ChildState* existing = spec.options.id.empty() ? nullptr : find(spec.options.id)) {
    return existing->pid() ? ExitReason("already_started", existing->pid())
                           : ExitReason("already_present");
  }
  ChildState& child = add(std::move(spec));
  Outcome<Pid> pid = launch(child);
  const bool is_kept = pid && (*pid || child.spec.options.restart != Restart::temporary);
  if (!is_kept) erase(child.position);
  return pid;
}

Outcome<void> StaticSupervisor::terminate_child(const TerminateChild& request) {
  ChildState** const by_pid = running_.find(request.pid);
  ChildState* child = request.pid ? (by_pid ? *by_pid : nullptr) : find(request.id);
  if (!child) return ExitReason("not_found");
  pass_on(*child);
  terminate_range(child->position, child->position + 1);
  if (child->spec.options.restart == Restart::temporary) erase(child->position);
  return {};
}

Outcome<void> StaticSupervisor::delete_child(const std::string& id) {
  const ChildState* child = find(id);
  if (!child) return ExitReason("not_found");
  if (child->pid()) return ExitReason("running");
  if (child->is_restarting()) return ExitReason("restarting");
  erase(child->position);
  return {};
}

Outcome<Pid> StaticSupervisor::restart_child(const std::string& id) {
  ChildState* child = find(id);
  if (!child) return ExitReason("not_found");
  if (child->pid()) return ExitReason("running");
  if (child->is_restarting()) return ExitReason("restarting");
  return launch(*child);
}

std::vector<ChildInfo> StaticSupervisor::which() const {
  std::vector<ChildInfo> all;
  all.reserve(children_.size());
  for (const auto& child : children_)
    all.push_back({child->id, child->pid(), child->is_restarting(), child->spec.is_supervisor});
  return all;
}

ChildCounts StaticSupervisor::counts() const {
  ChildCounts counts;
  for (const auto& child : children_) {
    ++counts.specs;
    ++(child->spec.is_supervisor ? counts.supervisors : counts.workers);
    if (child->pid()) ++counts.active;
  }
  return counts;
}

}  // namespace

std::unique_ptr<SupervisorCore> make_static_supervisor(SupervisorOptions options) {
  return std::make_unique<StaticSupervisor>(std::move(options));
}

}  // namespace greenroom::detail
