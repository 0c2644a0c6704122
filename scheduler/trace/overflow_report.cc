#include "greenroom/scheduler/trace/overflow_report.h"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <memory>
#include <string_view>
#include <system_error>

#include "greenroom/scheduler/fiber/stack.h"
#include "greenroom/scheduler/system/futex.h"
#include "greenroom/scheduler/system/previous_action.h"
#include "greenroom/scheduler/system/signal_safe_text.h"
#include "greenroom/scheduler/trace/report_writer.h"
#include "greenroom/scheduler/trace/symbolizer.h"
#include "greenroom/scheduler/unwind/stack_walk.h"

namespace greenroom::detail {
namespace {

// The stack.

using Line = SignalSafeLine;

// How much is said of a frame, and what that takes.
enum class Detail {
  readable,   // names in full, and lines: allocates
  plain,      // names and lines: takes the loader's lock for a moment
  addresses,  // module and offset: takes nothing
};

// Writes frames, and a line that repeats itself only once.
class FrameWriter {
 public:
  using Output = void (*)(void* data, Line& line);

  FrameWriter(Detail detail, Output output, void* data)
      : detail_(detail), output_(output), data_(data) {}

  void write(std::uintptr_t pc) {
    pc_ = pc;
    if (detail_ == Detail::addresses) return add({});
    visit_raw_lines(reinterpret_cast<void*>(pc), add, this);
  }

  void write_repetitions() {
    if (repetitions_ == 0) return;
    Line line;
    (line << "    ... the same ").add_number(repetitions_, 10) << " more times";
    output_(data_, line);
    repetitions_ = 0;
  }

  void write_omission(std::uintptr_t frames) {
    Line line;
    (line << "    ... ").add_number(frames, 10) << " frames more ...";
    output_(data_, line);
  }

  int lines() const { return lines_; }

 private:
  static void add(void* self, const RawLine& source) {
    static_cast<FrameWriter*>(self)->add(source);
  }

  void add(const RawLine& source) {
    Line line;
    line << "    at ";
    if (source.function == nullptr) {
      append_code_address(line, pc_ - 1);
    } else if (detail_ == Detail::readable) {
      line << to_readable_name(source.function);
    } else {
      append_plain_name(line, source.function);
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
    output_(data_, line);
  }

  const Detail detail_;
  const Output output_;
  void* const data_;
  std::uintptr_t pc_ = 0;
  Line last_;
  std::uintptr_t repetitions_ = 0;
  int lines_ = 0;
};

struct Interrupted {
  UnwindContext context;
  StackBounds bounds;
};

// Both ends of the stack: a recursion, and who began it.
void write_frames(const Interrupted& interrupted, FrameWriter writer) {
  constexpr int innermost_lines = 12;
  constexpr int innermost_frames = 5000;  // a symbol takes microseconds, a thread's stack is large
  constexpr std::size_t outermost = 8;
  UnwindContext context = interrupted.context;
  std::uintptr_t last[outermost];
  std::size_t passed = 0;
  int frames = 0;
  do {
    if (writer.lines() < innermost_lines && frames++ < innermost_frames) {
      writer.write(context.pc);
    } else {
      last[passed++ % outermost] = context.pc;
    }
  } while (unwind_step(context, interrupted.bounds));
  writer.write_repetitions();

  if (passed > outermost) writer.write_omission(passed - outermost);
  for (std::size_t i = passed > outermost ? passed - outermost : 0; i < passed; ++i) {
    writer.write(last[i % outermost]);
  }
  writer.write_repetitions();
}

// The innermost frame is the interrupted instruction. Only what lies above the guard is read.
Interrupted interrupted_by(const greg_t* registers) {
  const UnwindContext context{.pc = static_cast<std::uintptr_t>(registers[REG_RIP]) + 1,
                              .sp = static_cast<std::uintptr_t>(registers[REG_RSP]),
                              .fp = static_cast<std::uintptr_t>(registers[REG_RBP])};
  constexpr std::uintptr_t page = 4096;
  std::uintptr_t low = context.sp;
  while (is_stack_guard(reinterpret_cast<void*>(low))) low = (low / page + 1) * page;
  return {context, {.low = low}};
}

void write_frames_here(const Interrupted& interrupted, Detail detail) {
  write_frames(interrupted, FrameWriter(
                                detail, [](void*, Line& line) { line.write(); }, nullptr));
}

// The other thread's part.

constinit std::atomic<const OverflowReporting*> known_reporting = nullptr;

// What is asked of the other thread, once in the life of a process. It is answered in two steps:
// debug information takes long to read, and a thread that has made out the name is not stuck.
struct Question {
  enum class Stage : std::uint32_t { none, asked, described, answered, withdrawn };
  std::atomic<Stage> stage{Stage::none};
  Interrupted interrupted = {};
  char who[Line::capacity] = {};
  std::size_t who_size = 0;
  std::string* frames = nullptr;
};
constinit Question question;

bool pass_stage(Question::Stage from, Question::Stage to) {
  const bool passed = question.stage.compare_exchange_strong(from, to);
  if (passed) futex_wake_all(question.stage);
  return passed;
}

// On the other thread. The stack it reads is that of a thread which waits for it.
void answer() {
  using Stage = Question::Stage;
  const std::string who = known_reporting.load()->describe();
  question.who_size = who.copy(question.who, sizeof question.who);
  if (!pass_stage(Stage::asked, Stage::described)) return;
  auto frames = std::make_unique<std::string>();
  const auto keep = [](void* text, Line& line) {
    static_cast<std::string*>(text)->append(line.text()) += '\n';
  };
  write_frames(question.interrupted, FrameWriter(Detail::readable, keep, frames.get()));
  question.frames = frames.release();
  pass_stage(Stage::described, Stage::answered);
}

void answer_for_ever() noexcept {
  try {
    answer();
  } catch (...) {  // no memory: the handler stops waiting
  }
  for (;;) pause();
}

// Waits until the stage is passed; if that takes too long the question is withdrawn.
bool wait_past(Question::Stage stage, std::int64_t nanoseconds) {
  timespec start = {};
  clock_gettime(CLOCK_MONOTONIC, &start);
  while (question.stage == stage) {
    timespec now = {};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const std::int64_t passed =
        (now.tv_sec - start.tv_sec) * 1'000'000'000 + now.tv_nsec - start.tv_nsec;
    if (passed >= nanoseconds && pass_stage(stage, Question::Stage::withdrawn)) return false;
    if (passed < nanoseconds) futex_wait(question.stage, stage, nanoseconds - passed);
  }
  return true;
}

// The report.

// A stack's end is passed at the stack pointer, or in the 128 bytes below it that a leaf function
// may use; a guard hit from further away was stepped over, or is somebody's stray pointer.
bool is_overflow(std::uintptr_t sp) {
  constexpr std::uintptr_t red_zone = 128;
  return is_stack_guard(reinterpret_cast<void*>(sp)) ||
         is_stack_guard(reinterpret_cast<void*>(sp - red_zone));
}

void write_headline(const Interrupted& interrupted, std::string_view who) {
  if (is_overflow(interrupted.context.sp)) {
    (Line() << "greenroom: stack overflow in " << who).write();
  } else {
    (Line() << "greenroom: access to a stack guard (by a frame larger than the guard, or a stray "
               "pointer) in "
            << who)
        .write();
  }
  (Line() << "    raise its stack_size, or call what goes deep by on_stack()").write();
}

// Its default action, as a handler of the program's might wait for what is held here.
void set_alarm() {
  constexpr unsigned seconds = 10;
  ::signal(SIGALRM, SIG_DFL);
  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &alarms, nullptr);
  alarm(seconds);
}

[[noreturn]] void report_and_abort(const ucontext_t* context) {
  constexpr std::int64_t name_time = 200'000'000;
  constexpr std::int64_t lines_time = 5'000'000'000;
  using Stage = Question::Stage;
  static constinit std::atomic<bool> is_reporting = false;
  while (is_reporting.exchange(true)) pause();  // two threads at once: the first one ends us all
  set_alarm();
  finish_reports();
  question.interrupted = interrupted_by(context->uc_mcontext.gregs);
  const OverflowReporting* with = known_reporting.load();
  question.stage = Stage::asked;
  char text[Line::capacity];
  const std::size_t size = with && with->note ? with->note(text, sizeof text) : 0;
  const std::string_view noted = size > 0 ? std::string_view(text, size) : "a green thread";
  if (!with || !with->run_elsewhere || !with->run_elsewhere(&answer_for_ever)) {
    write_headline(question.interrupted, noted);
    write_frames_here(question.interrupted, Detail::plain);
  } else if (!wait_past(Stage::asked, name_time)) {
    write_headline(question.interrupted, noted);
    write_frames_here(question.interrupted, Detail::addresses);
  } else {
    write_headline(question.interrupted, {question.who, question.who_size});
    if (wait_past(Stage::described, lines_time)) {
      write_all(*question.frames);
    } else {
      write_frames_here(question.interrupted, Detail::addresses);
    }
  }
  std::abort();
}

// The handler.

// The last two for the reports that are left to be written only.
constexpr int handled_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
struct sigaction previous_actions[std::size(handled_signals)];  // written once, before the handler
                                                                // can run

void on_fault(int signal, siginfo_t* info, void* context) {
  const bool is_fault = info->si_code > 0;
  if (is_fault && is_stack_guard(info->si_addr)) {
    report_and_abort(static_cast<const ucontext_t*>(context));
  }
  const auto* const found =
      std::find(std::begin(handled_signals), std::end(handled_signals), signal);
  const struct sigaction& previous = previous_actions[found - std::begin(handled_signals)];
  const int error = errno;
  if (is_fault && is_deadly(previous, *info)) finish_reports();
  pass_on(previous, signal, info, context);
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

void set_overflow_reporting(const OverflowReporting* reporting) noexcept {
  known_reporting = reporting;
}

}  // namespace greenroom::detail
