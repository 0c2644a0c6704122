// What is said when a green thread's stack is used up: who it was, the innermost frames and what to
// do, from a signal handler on a stack of its own; then abort. Faults elsewhere go to the handler
// that was there before (a crash reporter's, AddressSanitizer's) or to the default action, as if
// there were no handler of ours.
//
// Rejected: handling it on the fiber itself (there is no stack left); siglongjmp out of it (skips
//   destructors, and leaves locks and the allocator as they are).
#pragma once

#include <cstddef>

namespace greenroom::detail {

// Gives the calling thread an alternate signal stack, until it ends, and the process the handler
// for SIGSEGV and SIGBUS. Further calls on a thread do nothing.
void install_overflow_report_for_this_thread();

// Sets what the report says of the code that was running: it writes at most `size` bytes such as
// "actor <0.12.0> 'name'" and returns how many. Called in a signal handler on the thread that
// faulted: it may only read. Null: "a green thread".
void set_overflow_description(std::size_t (*describe)(char* buffer,
                                                      std::size_t size) noexcept) noexcept;

}  // namespace greenroom::detail
