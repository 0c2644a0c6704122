// What is said when a green thread's stack is used up: who it was, the innermost frames and what to
// do, from a signal handler on a stack of its own; then abort. Faults elsewhere go to the handler
// that was there before (a crash reporter's, AddressSanitizer's) or to the default action, as if
// there were no handler of ours.
//
// The code that is interrupted may be malloc's, with its lock held. So the handler allocates
// nothing and takes no lock: names and lines are made into text by another thread. If that does not
// answer (it may wait for the very lock), names stay mangled and frames are addresses. An alarm
// ends the process if the report does not come through, as on a full pipe that nobody reads.
//
// Rejected: handling it on the fiber itself (there is no stack left); siglongjmp out of it (skips
//   destructors, and leaves locks and the allocator as they are); a thread started for it by the
//   handler (pthread_create allocates).
#pragma once

#include <cstddef>
#include <string>

namespace greenroom::detail {

// Gives the calling thread an alternate signal stack, until it ends, and the process the handler
// for SIGSEGV, SIGBUS, SIGFPE and SIGILL. Further calls on a thread do nothing.
void install_overflow_report_for_this_thread();

// What the report asks for. All are called on the thread that faulted, in a signal handler, except
// `describe`.
struct OverflowReporting {
  // Notes who runs and writes that into the buffer as far as it goes without allocating, such as
  // "actor <0.12.0> 4Room"; returns how many bytes. Async-signal-safe. 0: "a green thread".
  std::size_t (*note)(char* buffer, std::size_t size) noexcept = nullptr;
  // Has another thread call `work`, which does not return; false if there is none. Null: there is
  // none. Async-signal-safe.
  bool (*run_elsewhere)(void (*work)() noexcept) noexcept = nullptr;
  // On that thread: who was noted, in full.
  std::string (*describe)() = nullptr;
};

// Any thread; `reporting` stays for ever. Null, as at first: nothing is known.
void set_overflow_reporting(const OverflowReporting* reporting) noexcept;

}  // namespace greenroom::detail
