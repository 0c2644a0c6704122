#include "greenroom/scheduler/system/previous_action.h"

namespace greenroom::detail {
namespace {

// By kill() and the like; not a fault.
bool was_sent(const siginfo_t& info) { return info.si_code <= 0; }

}  // namespace

bool is_deadly(const struct sigaction& previous, const siginfo_t& info) noexcept {
  if ((previous.sa_flags & SA_SIGINFO) != 0) return false;
  return previous.sa_handler == SIG_DFL || (previous.sa_handler == SIG_IGN && !was_sent(info));
}

void pass_on(const struct sigaction& previous, int signal, siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (is_deadly(previous, *info)) {
    // A fault happens again when we return, where the core dump should show it.
    ::signal(signal, SIG_DFL);
    if (was_sent(*info)) raise(signal);
  } else if (previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  }
}

}  // namespace greenroom::detail
