#include "greenroom/scheduler/overflow_report.h"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <iterator>
#include <string_view>
#include <system_error>

#include "greenroom/scheduler/signal_safe_text.h"
#include "greenroom/scheduler/stack.h"
#include "greenroom/scheduler/stack_walk.h"
#include "greenroom/scheduler/symbolizer.h"

namespace greenroom::detail {
namespace {

// The stack.

using Line = SignalSafeLine;

// Writes frames, and a line that repeats itself only once.
class FrameWriter {
 public:
  void write(std::uintptr_t pc) {
    pc_ = pc;
    visit_raw_lines(reinterpret_cast<void*>(pc), add, this);
  }

  void write_repetitions() {
    if (repetitions_ == 0) return;
    Line line;
    (line << "    ... the same ").add_number(repetitions_, 10) << " more times";
    line.write();
    repetitions_ = 0;
  }

  int lines() const { return lines_; }

 private:
  static void add(void* self, const RawLine& source) {
    static_cast<FrameWriter*>(self)->add(source);
  }

  void add(const RawLine& source) {
    Line line;
    line << "    at ";
    if (source.function != nullptr) {
      append_plain_name(line, source.function);
    } else {
      (line << "0x").add_number(pc_ - 1, 16);
    }
    if (source.file != nullptr) {
      line << " " << to_short_path(source.file) << ":";
      line.add_number(static_cast<std::uintptr_t>(source.line), 10);
    }
    if (line.text() == last_.text()) {
      ++repetitions_;
      return;
    }
    write_repetitions();
    last_ = line;
    ++lines_;
    line.write();
  }

  std::uintptr_t pc_ = 0;
  Line last_;
  std::uintptr_t repetitions_ = 0;
  int lines_ = 0;
};

// Both ends of the stack: a recursion, and who began it.
void write_frames(UnwindContext context, const StackBounds& bounds) {
  constexpr int innermost_lines = 12;
  constexpr int innermost_frames = 5000;  // a symbol takes microseconds, a thread's stack is large
  constexpr std::size_t outermost = 8;
  std::uintptr_t last[outermost];
  std::size_t passed = 0;
  FrameWriter writer;
  int frames = 0;
  do {
    if (writer.lines() < innermost_lines && frames++ < innermost_frames) {
      writer.write(context.pc);
    } else {
      last[passed++ % outermost] = context.pc;
    }
  } while (unwind_step(context, bounds));
  writer.write_repetitions();

  if (passed > outermost) {
    Line line;
    (line << "    ... ").add_number(passed - outermost, 10) << " frames more ...";
    line.write();
  }
  for (std::size_t i = passed > outermost ? passed - outermost : 0; i < passed; ++i) {
    writer.write(last[i % outermost]);
  }
  writer.write_repetitions();
}

// The report.

constinit std::atomic<std::size_t (*)(char*, std::size_t) noexcept> description = nullptr;

// A stack's end is passed at the stack pointer, or in the 128 bytes below it that a leaf function
// may use; a guard hit from further away was stepped over, or is somebody's stray pointer.
bool is_overflow(std::uintptr_t sp) {
  constexpr std::uintptr_t red_zone = 128;
  return is_stack_guard(reinterpret_cast<void*>(sp)) ||
         is_stack_guard(reinterpret_cast<void*>(sp - red_zone));
}

void write_headline(std::uintptr_t sp) {
  char text[256];
  std::string_view who = "a green thread";
  // acquire pairs with the release in set_overflow_description.
  if (const auto describe = description.load(std::memory_order_acquire)) {
    who = {text, describe(text, sizeof text)};
  }
  if (is_overflow(sp)) {
    (Line() << "greenroom: stack overflow in " << who).write();
  } else {
    (Line() << "greenroom: access to a stack guard (by a frame larger than the guard, or a stray "
               "pointer) in "
            << who)
        .write();
  }
  (Line() << "    raise its stack_size, or call what goes deep by on_stack()").write();
}

// The innermost frame is the interrupted instruction. Only what lies above the guard is read.
void write_stack(const greg_t* registers) {
  const UnwindContext context{.pc = static_cast<std::uintptr_t>(registers[REG_RIP]) + 1,
                              .sp = static_cast<std::uintptr_t>(registers[REG_RSP]),
                              .fp = static_cast<std::uintptr_t>(registers[REG_RBP])};
  constexpr std::uintptr_t page = 4096;
  std::uintptr_t low = context.sp;
  while (is_stack_guard(reinterpret_cast<void*>(low))) low = (low / page + 1) * page;
  write_frames(context, {.low = low});
}

[[noreturn]] void report_and_abort(const ucontext_t* context) {
  static constinit std::atomic<bool> is_reporting = false;
  while (is_reporting.exchange(true)) pause();  // two threads at once: the first one ends us all
  const greg_t* registers = context->uc_mcontext.gregs;
  write_headline(static_cast<std::uintptr_t>(registers[REG_RSP]));
  write_stack(registers);
  std::abort();
}

// The handler.

constexpr int handled_signals[] = {SIGSEGV, SIGBUS};
struct sigaction previous_actions[2];  // written once, before the handler can run

// What would have happened without us.
void pass_on(int signal, siginfo_t* info, void* context) {
  const struct sigaction& previous = previous_actions[signal == SIGSEGV ? 0 : 1];
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
    return;
  }
  const bool was_sent = info->si_code <= 0;  // by kill() and the like; not a fault
  if (previous.sa_handler == SIG_IGN && was_sent) return;
  if (previous.sa_handler != SIG_IGN && previous.sa_handler != SIG_DFL) {
    previous.sa_handler(signal);
    return;
  }
  // A fault happens again when we return, where the core dump should show it.
  ::signal(signal, SIG_DFL);
  if (was_sent) raise(signal);
}

void on_fault(int signal, siginfo_t* info, void* context) {
  const bool is_fault = info->si_code > 0;
  if (is_fault && is_stack_guard(info->si_addr)) {
    report_and_abort(static_cast<const ucontext_t*>(context));
  }
  const int error = errno;
  pass_on(signal, info, context);
  errno = error;
}

bool install_handlers() {
  prepare_symbolizer();
  // Each is asked for first, so that a fault on another thread finds it.
  for (std::size_t i = 0; i < std::size(handled_signals); ++i) {
    sigaction(handled_signals[i], nullptr, &previous_actions[i]);
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(handled_signals[i], &action, nullptr);
  }
  return true;
}

// The alternate stack.

class AlternateStack {
 public:
  AlternateStack() {
    sigaltstack(nullptr, &previous_);
    if ((previous_.ss_flags & SS_DISABLE) == 0 && previous_.ss_size >= size) return;
    memory_ = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory_ == MAP_FAILED) {
      throw std::system_error(errno, std::generic_category(), "greenroom: a signal stack");
    }
    const stack_t ours = {.ss_sp = memory_, .ss_flags = 0, .ss_size = size};
    sigaltstack(&ours, nullptr);
  }

  // AddressSanitizer unmaps, after this, whatever stack it finds in place: it must be its own.
  ~AlternateStack() {
    if (memory_ == nullptr) return;
    stack_t current = {};
    sigaltstack(nullptr, &current);
    if (current.ss_sp == memory_) sigaltstack(&previous_, nullptr);
    munmap(memory_, size);
  }

  AlternateStack(const AlternateStack&) = delete;
  AlternateStack& operator=(const AlternateStack&) = delete;

 private:
  static constexpr std::size_t size = std::size_t{128} << 10;  // pages not touched cost nothing
  void* memory_ = nullptr;
  stack_t previous_ = {};
};

}  // namespace

void install_overflow_report_for_this_thread() {
  static const bool installed = install_handlers();
  static_cast<void>(installed);
  static thread_local AlternateStack alternate_stack;
}

void set_overflow_description(std::size_t (*describe)(char* buffer,
                                                      std::size_t size) noexcept) noexcept {
  // release pairs with the acquire in write_headline.
  description.store(describe, std::memory_order_release);
}

}  // namespace greenroom::detail
