// A thread that sleeps in a system call, seen from another thread of the process: what call it is
// in, and its stack. It is neither stopped nor woken for that.
//
// The kernel tells where such a thread stands (/proc/self/task/TID/syscall), but not its frame
// pointer. Most frames are found without one; where a function counts from it, its prologue tells
// how large its frame is, and the frame is believed if the call that its return address follows is
// one and the walk from there comes to the stack's end. Where that does not work the trace ends.
//
// For a thread that reports on others: it reads files of /proc, and allocates.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "greenroom/scheduler/trace/stack_trace.h"
#include "greenroom/scheduler/unwind/stack_walk.h"

namespace greenroom::detail {

struct SystemCall {
  long number = 0;
  std::uintptr_t sp = 0;
  std::uintptr_t pc = 0;   // the instruction after the call
  std::uint64_t runs = 0;  // how often the thread has got a processor; 0 where nobody counts that

  bool operator==(const SystemCall&) const = default;
};

// The call that the thread sleeps in. Nothing if it runs, or waits for a processor, or if the
// kernel does not say.
std::optional<SystemCall> system_call_of(pid_t thread);

// The time in nanoseconds that a thread was ready to run and another one had the processor; 0 where
// the kernel does not count it.
std::int64_t run_delay_of(pid_t thread);

// What is on the thread's stack from `sp` up to `high`, or the innermost part of that. Copied by
// the kernel, so it may be gone; it is right if the thread has slept meanwhile. Empty if it cannot
// be read.
std::vector<std::uintptr_t> copy_stack(std::uintptr_t sp, std::uintptr_t high);

// The stack of a thread in that call, whose words from call.sp on were copied.
StackTrace capture_sleeping(const SystemCall& call, const std::vector<std::uintptr_t>& stack);

}  // namespace greenroom::detail
