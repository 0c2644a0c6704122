// What a signal handler of ours does with signals that are not for it.
#pragma once

#include <csignal>

namespace greenroom::detail {

// Does what would have happened without our handler, which has replaced `previous`: calls that
// handler, or has the default action taken when ours returns. Async-signal-safe, in the handler.
void pass_on(const struct sigaction& previous, int signal, siginfo_t* info, void* context);

// A fault or signal that ends the process when it is passed on.
bool is_deadly(const struct sigaction& previous, const siginfo_t& info) noexcept;

}  // namespace greenroom::detail
