// The supervisor whose children are started one by one: simple_one_for_one, or DynamicSupervisor.

#include <algorithm>
#include <unordered_map>

#include "greenroom/actors/core/crash_report.h"
#include "greenroom/actors/supervisor/supervisor_core.h"
#include "greenroom/scheduler/memory/flat_index.h"

namespace greenroom::detail {

namespace {

class DynamicSupervisor final : public SupervisorCore {
 public:
  explicit DynamicSupervisor(DynamicOptions options)
      : options_(std::move(options)), intensity_(options_.intensity, options_.period) {}

  void start_children() override {}
  void child_ended(const Exit& exit) override;
  void try_again(std::uint64_t number) override;
  Outcome<Pid> start(ChildSpec spec) override;
  Outcome<void> terminate_child(const TerminateChild& request) override;
  Outcome<void> delete_child(const std::string&) override { return ExitReason("not_static"); }
  Outcome<Pid> restart_child(const std::string&) override { return ExitReason("not_static"); }
  std::vector<ChildInfo> which() const override;
  ChildCounts counts() const override;
  void terminate_all() override;

 private:
  using Child = std::unique_ptr<ChildState>;
  struct Waiting {
    Child child;
    Pid former;  // whose end it was
  };
  void restart(Child child, Pid former);

  DynamicOptions options_;
  RestartIntensity intensity_;
  FlatIndex<Pid, Child> running_;
  std::unordered_map<std::uint64_t, Waiting> restarting_;  // by the number of their TryAgain
  std::uint64_t last_try_ = 0;
};

Outcome<Pid> DynamicSupervisor::start(ChildSpec spec) {
  if (auto problem = problem_of(spec, AutoShutdown::never))
    return ExitReason("bad_child", std::move(*problem));
  if (options_.max_children > 0 && running_.size() + restarting_.size() >= options_.max_children) {
    return ExitReason("max_children");
  }
  if (spec.options.place == Placement::here) spec.options.place = options_.place;
  if (spec.options.stack_size == 0) spec.options.stack_size = options_.stack_size;
  auto child = std::make_unique<ChildState>();
  child->id = spec.options.id;
  child->spec = std::move(spec);
  Outcome<Pid> pid = start_one(child->spec);
  if (!pid || !*pid) return pid;
  child->standing = ChildState::Running{*pid};
  if (child->spec.options.restart == Restart::temporary)
    child->spec.start = nullptr;  // not needed again, and may own much
  running_.insert(*pid, std::move(child));
  return pid;
}

void DynamicSupervisor::child_ended(const Exit& exit) {
  Child* const found = running_.find(exit.from);
  if (!found) return;
  Child child = std::move(*found);
  running_.erase(exit.from);
  child->standing = ChildState::Undefined();
  if (wants_restart(child->spec, exit.reason)) restart(std::move(child), exit.from);
}

void DynamicSupervisor::restart(Child child, Pid former) {
  if (!intensity_.admit(now_nanoseconds())) give_up(*this, child->id);
  const Outcome<Pid> pid = start_one(child->spec);
  if (pid) {
    if (!*pid) return;
    child->standing = ChildState::Running{*pid};
    running_.insert(*pid, std::move(child));
    return;
  }
  log_line("child '" + child->id + "' did not start again: " + pid.reason().to_string());
  using Await = ChildState::AwaitingTry;
  child->standing = Await{++last_try_, Await::Does::restart};
  restarting_.emplace(last_try_, Waiting{std::move(child), former});
  send(self(), TryAgain{last_try_});
}

void DynamicSupervisor::try_again(std::uint64_t number) {
  const auto found = restarting_.find(number);
  if (found == restarting_.end()) return;
  Waiting waiting = std::move(found->second);
  restarting_.erase(found);
  restart(std::move(waiting.child), waiting.former);
}

Outcome<void> DynamicSupervisor::terminate_child(const TerminateChild& request) {
  // One that waits for its next start is known by the pid that it had.
  const auto waiting = std::find_if(restarting_.begin(), restarting_.end(), [&](const auto& entry) {
    const Waiting& it = entry.second;
    return request.pid ? it.former == request.pid : it.child->id == request.id;
  });
  if (waiting != restarting_.end()) {
    restarting_.erase(waiting);
    return {};
  }
  Pid pid = request.pid;
  if (!pid) {
    running_.for_each([&](const Pid& at, const Child& child) {
      if (child->id == request.id) pid = at;
    });
  }
  Child* const found = running_.find(pid);
  if (!found) return ExitReason("not_found");
  const Child child = std::move(*found);
  running_.erase(pid);
  terminate_in_turn({child.get()});
  return {};
}

std::vector<ChildInfo> DynamicSupervisor::which() const {
  std::vector<ChildInfo> all;
  running_.for_each([&](const Pid& pid, const Child& child) {
    all.push_back({child->id, pid, false, child->spec.is_supervisor});
  });
  for (const auto& [number, waiting] : restarting_)
    all.push_back({waiting.child->id, Pid{}, true, waiting.child->spec.is_supervisor});
  std::sort(all.begin(), all.end(),
            [](const ChildInfo& a, const ChildInfo& b) { return a.pid < b.pid; });
  return all;
}

ChildCounts DynamicSupervisor::counts() const {
  ChildCounts counts;
  counts.active = running_.size();
  counts.specs = running_.size() + restarting_.size();
  running_.for_each([&](const Pid&, const Child& child) {
    ++(child->spec.is_supervisor ? counts.supervisors : counts.workers);
  });
  for (const auto& [number, waiting] : restarting_)
    ++(waiting.child->spec.is_supervisor ? counts.supervisors : counts.workers);
  return counts;
}

void DynamicSupervisor::terminate_all() {
  const FlatIndex<Pid, Child> running = std::exchange(running_, {});
  restarting_.clear();
  std::vector<ChildState*> children;
  running.for_each([&](const Pid&, const Child& child) { children.push_back(child.get()); });
  std::sort(children.begin(), children.end(),
            [](const auto* a, const auto* b) { return a->pid() < b->pid(); });
  terminate_together(children);
}

}  // namespace

std::unique_ptr<SupervisorCore> make_dynamic_supervisor(DynamicOptions options) {
  return std::make_unique<DynamicSupervisor>(std::move(options));
}

}  // namespace greenroom::detail
