// Looking at actors from outside.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "greenroom/actors/values/pid.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom {

struct ProcessInfo {
  Pid pid;  // nobody: it is dead
  std::vector<std::string> names;
  std::string label;  // as in reports
  std::string state;  // "parked in receive", "idle", "running", ...
  std::size_t mailbox_size = 0;
  std::size_t dead_letters = 0;  // refused or dropped by its mailbox limit
  std::vector<Pid> links;
  std::vector<Pid> monitors;  // whom it monitors
  std::size_t monitored_by = 0;
  bool traps_exits = false;
  bool is_exiting = false;
  Pid parent;
};

// **Block across hubs**: after everything that was sent before, and until each hub that is asked
// comes round. The thread of one that stands in a system call, say in std::thread::join(), answers
// when it is back.
// As erlang:process_info/1; of a dead actor everything is empty.
ProcessInfo process_info(Pid pid);
// All actors of all hubs, those that are exiting too; as erlang:processes/0. A simulation sees its
// own, and nobody else sees those.
std::vector<Pid> processes();
// The stack of a parked or running actor, a line per frame; empty for one without a stack.
std::string current_stack(Pid pid);

namespace detail {

// The same; nothing if its hub does not answer before the wait is over.
std::optional<std::string> current_stack_within(Pid pid, Wait wait);

}  // namespace detail
}  // namespace greenroom
