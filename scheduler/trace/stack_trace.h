// A stack as return addresses: cheap to take, and turned into text only when somebody reads it.
//
// Capturing is thread-safe, async-signal-safe and allocates nothing: stack_walk.h says how.
// to_string is thread-safe, allocates, and reads debug information the first time (symbolizer.h).
#pragma once

#include <cstddef>
#include <string>

#include "greenroom/scheduler/unwind/stack_walk.h"

namespace greenroom::detail {

// Innermost first; deeper stacks lose their outer end.
struct StackTrace {
  static constexpr int max_frames = 48;
  void* frames[max_frames];
  int size = 0;
};

// The calling function's stack, without its `skip` innermost frames.
StackTrace capture_stack_trace(int skip = 0) noexcept;

// The stack of the code that `innermost` was taken from, which becomes the first frame: what a
// signal interrupted (with pc = rip + 1), or a caller known by its registers. Nothing outside
// `bounds` is read.
StackTrace capture_stack_trace(const UnwindContext& innermost, const StackBounds& bounds) noexcept;

// The stack of a suspended fiber: `fcontext` as jump_fcontext left it, and its usable stack
// [low, high). `below_frame`: how far below the frame of the code that left it the stack pointer
// was then (fiber.h: red_zone).
StackTrace capture_suspended(const void* fcontext, const std::byte* low, const std::byte* high,
                             std::size_t below_frame = 0) noexcept;

// Which frames to show. `relevant` leaves out greenroom's own functions and the C++ runtime's at
// both ends; those between a user's functions are always shown, and those that may be a user's.
enum class Frames { relevant, all };

// A line "    at function(parameters) file.cc:12\n" for each frame and each function inlined
// there, at most `max_lines`, and one more that says what was left out.
std::string to_string(const StackTrace& trace, int max_lines = 32,
                      Frames frames = Frames::relevant);

}  // namespace greenroom::detail
