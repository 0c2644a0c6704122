#include "greenroom/scheduler/trace/stack_trace.h"

#include <cstdint>
#include <string_view>
#include <vector>

#include "greenroom/scheduler/fiber/stack_switch_x86_64.h"
#include "greenroom/scheduler/trace/symbolizer.h"

namespace greenroom::detail {
namespace {

void* to_frame(std::uintptr_t pc) { return reinterpret_cast<void*>(pc); }

// Which lines are the runtime's.

constexpr std::string_view runtime_prefixes[] = {
    "greenroom::detail::",
    "__cxa_throw",
    "__cxa_rethrow",
    "__wrap___cxa_throw",
    "greenroom::Hub::",
    "std::__",
    "std::invoke",
    "std::function<",
    "std::_Function_handler<",
    "std::thread::",
    "jump_fcontext",
    "ontop_fcontext",
    "make_fcontext",
    "execute_native_thread_routine",
    "start_thread",
    "clone",
    "__clone",
    "__libc_start",
    "_start",
    "libstdc++.so",
};

bool is_runtime_name(std::string_view function) {
  for (const std::string_view prefix : runtime_prefixes) {
    if (function.starts_with(prefix)) return true;
  }
  // A template's name has its return type in front.
  return function.find(" greenroom::detail::") < function.find('(');
}

bool is_library_header(std::string_view file) {
  for (const std::string_view part : {"/include/c++/", "greenroom/scheduler/", "greenroom/mailbox/",
                                      "greenroom/io/", "greenroom/actors/"}) {
    if (file.find(part) != file.npos) return true;
  }
  return file.starts_with("/usr/include/");
}

// What a standard library keeps for itself has a reserved name: vector::_M_range_check, but not
// vector::at, which the user called.
bool is_library_internal(const SourceLine& line) {
  return is_library_header(line.file) &&
         (line.function.starts_with('_') || line.function.find("::_") != std::string::npos);
}

// An inlined function has a bare name: it is the runtime's if the function it ended up in is, and
// its text is not the user's.
bool is_runtime(const SourceLine& line, const SourceLine& frame) {
  // A user's function that was inlined there is not to be seen.
  if (line.is_cold_without_line) return false;
  if (is_runtime_name(line.function) || is_library_internal(line)) return true;
  if (!line.is_inlined || !is_runtime_name(frame.function)) return false;
  return line.file == frame.file || is_library_header(line.file);
}

struct Line {
  SourceLines owner;
  const SourceLine* source;
  bool is_runtime;
};

std::vector<Line> to_lines(const StackTrace& trace) {
  std::vector<Line> lines;
  for (int i = 0; i < trace.size; ++i) {
    const SourceLines here = symbolize(trace.frames[i]);
    for (const SourceLine& source : *here) {
      lines.push_back({here, &source, is_runtime(source, here->back())});
    }
  }
  return lines;
}

void trim(std::vector<Line>& lines) {
  std::size_t first = 0;
  std::size_t end = lines.size();
  while (end > 0 && lines[end - 1].is_runtime) --end;
  while (first < end && lines[first].is_runtime) ++first;
  if (first == end) return;  // nothing but runtime: better than nothing
  lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(end), lines.end());
  lines.erase(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(first));
}

void append_line(std::string& text, const SourceLine& line) {
  text += "    at ";
  text += line.function.empty() ? "?" : line.function;
  if (!line.file.empty()) {
    text += ' ';
    text += to_short_path(line.file);
    if (line.line > 0) text += ':' + std::to_string(line.line);
  }
  text += '\n';
}

}  // namespace

namespace {

// From a function that was called on another stack to its caller, which may lie anywhere.
bool cross_stacks(UnwindContext& context, StackBounds& bounds) noexcept {
  if (!is_stack_switch(context.pc)) return false;
  bounds = {.low = context.fp};
  const auto* frame = reinterpret_cast<const std::uintptr_t*>(context.fp);
  context = {.pc = frame[1], .sp = context.fp + 16, .fp = frame[0]};
  return true;
}

}  // namespace

__attribute__((noinline)) StackTrace capture_stack_trace(int skip) noexcept {
  // Asking for its address makes this function keep a frame pointer, whatever the compiler flags.
  const auto* frame = static_cast<const std::uintptr_t*>(__builtin_frame_address(0));
  UnwindContext caller{
      .pc = frame[1], .sp = reinterpret_cast<std::uintptr_t>(frame + 2), .fp = frame[0]};
  // Without an upper bound only what call frame information says is there is read.
  const StackBounds bounds{.low = caller.sp};
  for (; skip > 0; --skip) {
    if (!unwind_step(caller, bounds)) return {};
  }
  return capture_stack_trace(caller, bounds);
}

StackTrace capture_stack_trace(const UnwindContext& innermost, const StackBounds& bounds) noexcept {
  StackTrace trace;
  UnwindContext context = innermost;
  StackBounds here = bounds;
  if (context.pc == 0) return trace;
  do {
    trace.frames[trace.size++] = to_frame(context.pc);
  } while (trace.size < StackTrace::max_frames &&
           (unwind_step(context, here) || cross_stacks(context, here)));
  return trace;
}

StackTrace capture_suspended(const void* fcontext, const std::byte* low, const std::byte* high,
                             std::size_t below_frame) noexcept {
  // What Boost.Context's jump_fcontext pushes on x86-64: control words, r12 to r15, rbx, rbp, rip.
  constexpr std::size_t saved_words = 9;
  constexpr std::size_t fp = 7;
  constexpr std::size_t pc = 8;
  const auto* saved = static_cast<const std::uintptr_t*>(fcontext);
  const auto sp = reinterpret_cast<std::uintptr_t>(saved + saved_words) + below_frame;
  const StackBounds bounds{.low = reinterpret_cast<std::uintptr_t>(low),
                           .high = reinterpret_cast<std::uintptr_t>(high)};
  if (reinterpret_cast<std::uintptr_t>(saved) < bounds.low || sp > bounds.high) return {};
  return capture_stack_trace({.pc = saved[pc], .sp = sp, .fp = saved[fp]}, bounds);
}

std::string to_string(const StackTrace& trace, int max_lines, Frames frames) {
  std::vector<Line> lines = to_lines(trace);
  if (frames == Frames::relevant) trim(lines);
  std::string text;
  int written = 0;
  for (const Line& line : lines) {
    if (written++ == max_lines) {
      const auto rest = lines.size() - static_cast<std::size_t>(max_lines);
      return text + "    ... and " + std::to_string(rest) + " more\n";
    }
    append_line(text, *line.source);
  }
  if (trace.size == StackTrace::max_frames) text += "    ... (deeper frames were not recorded)\n";
  return text;
}

}  // namespace greenroom::detail
