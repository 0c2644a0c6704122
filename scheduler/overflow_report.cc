#include "greenroom/scheduler/overflow_report.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string_view>
#include <system_error>

#include "greenroom/scheduler/stack.h"
#include "greenroom/scheduler/stack_trace.h"
#include "greenroom/scheduler/symbolizer.h"

namespace greenroom::detail {
namespace {

// ---- Text, as a signal handler may write it

// Lines gathered on the stack; what is too long is cut.
class Line {
 public:
  Line& operator<<(std::string_view text) {
    const std::size_t room = sizeof text_ - 1 - size_;  // one for the end of the line
    const std::size_t count = text.size() < room ? text.size() : room;
    std::memcpy(text_ + size_, text.data(), count);
    size_ += count;
    return *this;
  }

  Line& add_number(std::uintptr_t number, unsigned base) {
    char digits[24];
    char* first = digits + sizeof digits;
    do {
      *--first = "0123456789abcdef"[number % base];
      number /= base;
    } while (number != 0);
    return *this << std::string_view(first,
                                     static_cast<std::size_t>(digits + sizeof digits - first));
  }

  void write() {
    text_[size_++] = '\n';
    const char* rest = text_;
    while (size_ > 0) {
      const ssize_t written = ::write(STDERR_FILENO, rest, size_);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;
      rest += written;
      size_ -= static_cast<std::size_t>(written);
    }
  }

 private:
  char text_[512];
  std::size_t size_ = 0;
};

// abi::__cxa_demangle allocates, so this reads the simple mangled names only: nested names without
// templates or operators. "_ZN3app12_GLOBAL__N_15parseEi" is "app::(anonymous namespace)::parse";
// any other name stays as it is.
class PlainName {
 public:
  explicit PlainName(const char* symbol) : symbol_(symbol) { is_plain_ = parse(); }

  void append_to(Line& line) const {
    if (!is_plain_) {
      line << symbol_;
      return;
    }
    for (std::size_t i = 0; i < count_; ++i) {
      if (i > 0) line << "::";
      line << (parts_[i].starts_with("_GLOBAL__N") ? "(anonymous namespace)" : parts_[i]);
    }
  }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }

  bool parse() {
    const char* rest = symbol_;
    if (std::strncmp(rest, "_Z", 2) != 0) return false;
    rest += 2;
    const bool is_nested = *rest == 'N';
    if (is_nested) ++rest;
    while (*rest == 'K' || *rest == 'V') ++rest;  // const and volatile members
    for (;;) {
      if (*rest == 'L') ++rest;  // internal linkage
      std::size_t size = 0;
      for (; is_digit(*rest) && size < max_size; ++rest)
        size = size * 10 + static_cast<std::size_t>(*rest - '0');
      if (size == 0 || count_ == max_parts || strnlen(rest, size) < size) break;
      parts_[count_++] = {rest, size};
      rest += size;
      if (!is_nested) return *rest != 'I' && *rest != 'B';
      if (*rest == 'E') return true;
    }
    return false;
  }

  static constexpr std::size_t max_parts = 16;
  static constexpr std::size_t max_size = 1000;
  const char* symbol_;
  std::string_view parts_[max_parts];
  std::size_t count_ = 0;
  bool is_plain_ = false;
};

void write_source_line(void* frame, const RawLine& source) {
  Line line;
  line << "    at ";
  if (source.function != nullptr) {
    PlainName(source.function).append_to(line);
  } else {
    (line << "0x").add_number(*static_cast<const std::uintptr_t*>(frame), 16);
  }
  if (source.file != nullptr)
    (line << " " << source.file << ":").add_number(static_cast<std::uintptr_t>(source.line), 10);
  line.write();
}

void write_frames(const StackTrace& trace) {
  constexpr int max_frames = 20;
  for (int i = 0; i < trace.size && i < max_frames; ++i) {
    auto address = reinterpret_cast<std::uintptr_t>(trace.frames[i]);
    visit_raw_lines(trace.frames[i], write_source_line, &address);
  }
  if (trace.size > max_frames) (Line() << "    ...").write();
}

// ---- The report

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
  (Line() << "    raise SpawnOptions::stack_size, or move deep work to offload()").write();
}

// The innermost frame is the interrupted instruction. Only what lies above the guard is read.
StackTrace capture_interrupted(const greg_t* registers) {
  UnwindContext context{.pc = static_cast<std::uintptr_t>(registers[REG_RIP]) + 1,
                        .sp = static_cast<std::uintptr_t>(registers[REG_RSP]),
                        .fp = static_cast<std::uintptr_t>(registers[REG_RBP])};
  constexpr std::uintptr_t page = 4096;
  std::uintptr_t low = context.sp;
  while (is_stack_guard(reinterpret_cast<void*>(low))) low = (low / page + 1) * page;
  return capture_stack_trace(context, {.low = low});
}

[[noreturn]] void report_and_abort(const ucontext_t* context) {
  static constinit std::atomic<bool> is_reporting = false;
  while (is_reporting.exchange(true)) pause();  // two threads at once: the first one ends us all
  const greg_t* registers = context->uc_mcontext.gregs;
  write_headline(static_cast<std::uintptr_t>(registers[REG_RSP]));
  write_frames(capture_interrupted(registers));
  std::abort();
}

// ---- The handler

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

// ---- The alternate stack

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
