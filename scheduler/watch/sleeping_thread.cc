#include "greenroom/scheduler/watch/sleeping_thread.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <string>

#include "greenroom/scheduler/unwind/frame_description.h"
#include "greenroom/scheduler/unwind/instruction.h"
#include "greenroom/scheduler/unwind/unwind_rule.h"

namespace greenroom::detail {

namespace {

// The kernel's files.

using FileText = std::array<char, 256>;

// False if there is no such file, or nothing in it.
bool read_thread_file(pid_t thread, const char* name, FileText& text) {
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/" + name;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const ssize_t size = ::read(file, text.data(), text.size() - 1);
  ::close(file);
  if (size <= 0) return false;
  text[static_cast<std::size_t>(size)] = '\0';
  return true;
}

struct ScheduleCounts {
  unsigned long long on_processor = 0;
  unsigned long long delay = 0;
  unsigned long long runs = 0;
};

ScheduleCounts schedule_counts_of(pid_t thread) {
  FileText text;
  ScheduleCounts counts;
  if (!read_thread_file(thread, "schedstat", text) ||
      std::sscanf(text.data(), "%llu %llu %llu", &counts.on_processor, &counts.delay,
                  &counts.runs) != 3)
    return {};
  return counts;
}

// The walk.

// No address of a frame: what counts from it fails.
constexpr std::uintptr_t unknown_fp = 1;

// A frame with a frame pointer: above it the caller's, and the return address.
bool is_counted_from_fp(std::uintptr_t pc) {
  const UnwindRule rule = find_unwind_rule(pc - 1);
  return rule.cfa == UnwindRule::Cfa::fp_plus_offset && rule.cfa_offset == 16;
}

// How far the stack pointer of the function `pc` is in is below its frame pointer, by the
// instructions it begins with; nothing if they do not tell.
std::optional<std::uintptr_t> frame_size_at(std::uintptr_t pc) {
  FrameDescription function;
  if (!find_frame_description(pc - 1, function)) return std::nullopt;
  constexpr int longest_prologue = 64;
  const auto* code = reinterpret_cast<const std::uint8_t*>(function.start);
  const auto* end = reinterpret_cast<const std::uint8_t*>(pc);
  bool has_frame_pointer = false;
  bool is_in_loop = false;
  std::uintptr_t size = 0;
  for (int n = 0; n < longest_prologue && code < end; ++n) {
    const Instruction instruction = decode_instruction(code);
    if (instruction.kind != Instruction::Kind::other &&
        instruction.kind != Instruction::Kind::branch)
      break;
    const auto starts_with = [&](std::initializer_list<std::uint8_t> bytes) {
      return bytes.size() <= instruction.size && std::equal(bytes.begin(), bytes.end(), code);
    };
    const bool is_push = (instruction.size == 1 && (code[0] & 0xf8) == 0x50) ||
                         (instruction.size == 2 && code[0] == 0x41 && (code[1] & 0xf8) == 0x50);
    if (starts_with({0x48, 0x89, 0xe5}) || starts_with({0x48, 0x8b, 0xec})) {  // mov rbp, rsp
      has_frame_pointer = true;
      size = 0;
    } else if (is_push) {
      size += 8;
    } else if (starts_with({0x4c, 0x8d, 0x9c, 0x24})) {  // lea r11, [rsp + 32 bits]
      // Pages are touched one by one in a loop, until the stack pointer is there.
      std::int32_t operand = 0;
      std::memcpy(&operand, code + 4, sizeof operand);
      size -= static_cast<std::uintptr_t>(std::int64_t{operand});
      is_in_loop = true;
    } else if (is_in_loop) {
      is_in_loop = instruction.kind != Instruction::Kind::branch;
    } else if (starts_with({0x48, 0x83, 0xec})) {  // sub rsp, 8 bits
      size += code[3];
    } else if (starts_with({0x48, 0x81, 0xec})) {  // sub rsp, 32 bits
      std::uint32_t operand = 0;
      std::memcpy(&operand, code + 3, sizeof operand);
      size += operand;
    } else if (starts_with({0x48, 0x83, 0xe4}) || starts_with({0x48, 0x81, 0xe4})) {
      return std::nullopt;  // and rsp: it aligns its stack
    }
    code += instruction.size;
  }
  if (!has_frame_pointer) return std::nullopt;
  return size;
}

// The instruction before a return address is a call.
bool follows_call(std::uintptr_t pc) {
  FrameDescription function;
  if (!find_frame_description(pc - 1, function)) return false;
  const auto* end = reinterpret_cast<const std::uint8_t*>(pc);
  for (const std::size_t size : {5, 2, 3, 6, 7, 4, 8}) {
    if (pc - function.start < size) continue;
    const Instruction instruction = decode_instruction(end - size);
    if (instruction.kind == Instruction::Kind::call && instruction.size == size) return true;
  }
  return false;
}

// The stack as it was copied.
class CopiedStack {
 public:
  CopiedStack(std::uintptr_t sp, const std::vector<std::uintptr_t>& words)
      : bounds_{.low = sp,
                .high = sp + words.size() * sizeof(std::uintptr_t),
                .displacement = reinterpret_cast<std::uintptr_t>(words.data()) - sp},
        words_(words) {}

  const StackBounds& bounds() const { return bounds_; }

  // The caller of the function `frame` is in, whose frame pointer is not known. False: it cannot be
  // told.
  bool find_caller(UnwindContext& frame) const {
    const std::optional<std::uintptr_t> size = frame_size_at(frame.pc);
    if (!size) return false;
    const std::uintptr_t fp = frame.sp + *size;
    if (fp % 8 != 0 || fp < frame.sp || fp >= bounds_.high || bounds_.high - fp < 16) return false;
    const UnwindContext caller{.pc = word_at(fp + 8), .sp = fp + 16, .fp = word_at(fp)};
    if (!follows_call(caller.pc) || !leads_to_end(caller)) return false;
    frame = caller;
    return true;
  }

 private:
  std::uintptr_t word_at(std::uintptr_t address) const {
    return words_[(address - bounds_.low) / sizeof(std::uintptr_t)];
  }

  // The walk from there on follows calls only, and ends where nothing is known of the code any
  // more, or where the copy does.
  bool leads_to_end(UnwindContext context) const {
    constexpr int most_frames = 1000;
    for (int n = 0; n < most_frames; ++n) {
      const UnwindRule rule = find_unwind_rule(context.pc - 1);
      if (!unwind_step(context, bounds_))
        return rule.cfa == UnwindRule::Cfa::unknown || context.sp + 64 >= bounds_.high;
      if (!follows_call(context.pc)) return is_last(context);
    }
    return true;
  }

  // A thread's or fiber's first function was not called.
  bool is_last(UnwindContext context) const { return !unwind_step(context, bounds_); }

  const StackBounds bounds_;
  const std::vector<std::uintptr_t>& words_;
};

}  // namespace

std::optional<SystemCall> system_call_of(pid_t thread) {
  FileText text;
  SystemCall call;
  call.runs = schedule_counts_of(thread).runs;
  if (!read_thread_file(thread, "syscall", text)) return std::nullopt;
  // Its number, six arguments, and the registers.
  const int fields = std::sscanf(text.data(), "%ld %*s %*s %*s %*s %*s %*s %lx %lx", &call.number,
                                 &call.sp, &call.pc);
  if (fields != 3 || call.number < 0) return std::nullopt;
  return call;
}

std::int64_t run_delay_of(pid_t thread) {
  return static_cast<std::int64_t>(schedule_counts_of(thread).delay);
}

std::vector<std::uintptr_t> copy_stack(std::uintptr_t sp, std::uintptr_t high) {
  constexpr std::size_t largest = std::size_t{1} << 20;
  if (sp % sizeof(std::uintptr_t) != 0 || high <= sp) return {};
  std::vector<std::uintptr_t> words(std::min(high - sp, largest) / sizeof(std::uintptr_t));
  const iovec to{words.data(), words.size() * sizeof(std::uintptr_t)};
  const iovec from{reinterpret_cast<void*>(sp), to.iov_len};
  if (::process_vm_readv(::getpid(), &to, 1, &from, 1, 0) != static_cast<ssize_t>(to.iov_len))
    return {};
  return words;
}

StackTrace capture_sleeping(const SystemCall& call, const std::vector<std::uintptr_t>& stack) {
  const CopiedStack copy(call.sp, stack);
  StackTrace trace;
  UnwindContext context{.pc = call.pc, .sp = call.sp, .fp = unknown_fp};
  do {
    trace.frames[trace.size++] = reinterpret_cast<void*>(context.pc);
    if (trace.size == StackTrace::max_frames) break;
    if (unwind_step(context, copy.bounds())) continue;
    if (context.fp != unknown_fp || !is_counted_from_fp(context.pc) || !copy.find_caller(context))
      break;
  } while (true);
  return trace;
}

}  // namespace greenroom::detail
