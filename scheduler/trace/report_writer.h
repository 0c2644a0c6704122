// Reports on stderr: each whole, and all in the order in which they were made. The functions and
// lines of a stack are looked up on a thread of the writer's own, as reading debug information
// takes tenths of a second, in which a hub would stand still.
//
// The thread is started by the first report with a stack and sleeps without a period between them.
// It is ended for a fork; the child begins with nothing to write. What is left when the process
// ends by exit(), abort() or a fault is waited for, and after a limit written with bare addresses.
// _exit(), and a signal that ends the process by its default action, lose it.
//
// Thread-safe. A report costs its maker a push and perhaps a futex call; a thousand that nobody has
// written yet make it wait, so that a slow stderr cannot fill the memory.
//
// Rejected: the stall watch's thread (it would not watch meanwhile, nor could it help a stack
//   overflow); a lock around the list (the handler of SIGABRT could not look at it).
#pragma once

#include <cstdint>
#include <string>

#include "greenroom/scheduler/trace/stack_trace.h"

namespace greenroom::detail {

// Where a stack is turned into text.
enum class LookUp {
  elsewhere,  // by the writer's thread, after the call has returned
  here,       // in the call, which returns when all is written: in simulations
};

// Writes `before`, the stack and `after` as one. No stack: null.
void write_report(LookUp where, std::string before, const StackTrace* trace,
                  std::string after = {}) noexcept;
// Writes text that needs no look-up: at once, unless there are reports to be written before it.
void write_in_order(std::string text) noexcept;

// Stops the calling thread until what was reported before is written, at most for a limit of some
// seconds; false if that is over. Returns at once if nothing is left.
bool wait_for_reports() noexcept;

// Has the writer's thread call f once nothing has been reported for a second. One f for the
// process.
void call_when_quiet(void (*f)() noexcept) noexcept;

// finish_reports() calls f, once, after what was left: async-signal-safe. One f for the process.
void call_at_finish(void (*f)() noexcept) noexcept;

// The process is about to end: waits for what is left, and after a shorter limit writes it itself,
// with addresses in place of names. Async-signal-safe; later calls return at once.
void finish_reports() noexcept;
// It has been called: who does not go on any more has a reason.
bool has_begun_to_finish_reports() noexcept;

}  // namespace greenroom::detail
