// What every supervisor is made of: one server type, and a core for the static and the dynamic
// kind.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "greenroom/actors/supervisor/restart_plan.h"
#include "greenroom/actors/supervisor/supervisor.h"
#include "greenroom/actors/verbs/verbs.h"

namespace greenroom::detail {

// A child and where it stands.
struct ChildState {
  // OTP's `undefined | restarting | pid`; of a group that is to start again one child waits for a
  // TryAgain, and the others for that child.
  struct Undefined {};  // not running, and not to be started again but by a request
  struct Running {
    Pid pid;
  };
  struct AwaitingGroup {};
  struct AwaitingTry {
    enum class Does : std::uint8_t {
      restart,      // another restart, which counts
      start_group,  // the restart was counted when its pause began
    };
    std::uint64_t number;  // the TryAgain's
    Does does;
  };

  // Nobody: it is not running.
  Pid pid() const {
    const auto* running = std::get_if<Running>(&standing);
    return running ? running->pid : Pid{};
  }
  bool is_restarting() const {
    return std::holds_alternative<AwaitingGroup>(standing) ||
           std::holds_alternative<AwaitingTry>(standing);
  }

  ChildSpec spec;
  std::string id;  // spec's, or made up
  std::variant<Undefined, Running, AwaitingGroup, AwaitingTry> standing;
  std::size_t position = 0;  // in start order
};

// Requests to a supervisor.
struct StartChild {
  ChildSpec spec;
};
struct TerminateChild {
  std::string id;
  Pid pid;
};
struct DeleteChild {
  std::string id;
};
struct RestartChild {
  std::string id;
};
struct WhichChildren {};
struct CountChildren {};

// To itself: a restart is due. Requests that wait get in between. Each has a number of its own: one
// whose wait has ended otherwise is for nobody.
struct TryAgain {
  std::uint64_t number;
};

class SupervisorCore {
 public:
  virtual ~SupervisorCore() = default;
  virtual void start_children() = 0;
  virtual void child_ended(const Exit& exit) = 0;
  virtual void try_again(std::uint64_t number) = 0;
  virtual Outcome<Pid> start(ChildSpec spec) = 0;
  virtual Outcome<void> terminate_child(const TerminateChild& request) = 0;
  virtual Outcome<void> delete_child(const std::string& id) = 0;
  virtual Outcome<Pid> restart_child(const std::string& id) = 0;
  virtual std::vector<ChildInfo> which() const = 0;
  virtual ChildCounts counts() const = 0;
  virtual void terminate_all() = 0;
};

std::unique_ptr<SupervisorCore> make_static_supervisor(SupervisorOptions options);
std::unique_ptr<SupervisorCore> make_dynamic_supervisor(DynamicOptions options);

// The server around a core.
struct SupervisorServer {
  static constexpr bool trap_exits = true;
  explicit SupervisorServer(SupervisorOptions options);
  explicit SupervisorServer(DynamicOptions options);

  Outcome<Pid> handle(StartChild request) { return core->start(std::move(request.spec)); }
  Outcome<void> handle(const TerminateChild& request) { return core->terminate_child(request); }
  Outcome<void> handle(const DeleteChild& request) { return core->delete_child(request.id); }
  Outcome<Pid> handle(const RestartChild& request) { return core->restart_child(request.id); }
  std::vector<ChildInfo> handle(const WhichChildren&) { return core->which(); }
  ChildCounts handle(const CountChildren&) { return core->counts(); }
  void handle(const Exit& exit) { core->child_ended(exit); }
  void handle(Message& message);
  void terminate(const ExitReason&) { core->terminate_all(); }

  std::unique_ptr<SupervisorCore> core;
};

// What both kinds do with one child.

// Starts it; its pid (nobody, if it ignores its start), or why it did not start.
Outcome<Pid> start_one(const ChildSpec& spec);
// Ends running children by their Shutdown, each when the one before it has ended. **Blocks.** A
// child that does not end even by a kill is reported, with its stack, again and again.
void terminate_in_turn(const std::vector<ChildState*>& children);
// **Blocks.** Ends running children at once: all are told together and share the longest wait.
void terminate_together(const std::vector<ChildState*>& children);
// It ended in a way that its restart type calls for another start.
bool wants_restart(const ChildSpec& spec, const ExitReason& reason);
// Ends the supervisor: too many restarts.
[[noreturn]] void give_up(SupervisorCore& core, const std::string& id);
void check_options(int intensity, std::chrono::nanoseconds period);
// Why a supervisor cannot have that child; nothing if it can.
std::optional<std::string> problem_of(const ChildSpec& spec, AutoShutdown auto_shutdown);

}  // namespace greenroom::detail
