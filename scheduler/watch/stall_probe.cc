// The handler takes no lock, and neither allocates nor calls anything that might: it interrupts
// malloc as well.
#include "greenroom/scheduler/watch/stall_probe.h"

#include <sched.h>
#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <optional>
#include <vector>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/system/futex.h"
#include "greenroom/scheduler/system/sanitizers.h"
#include "greenroom/scheduler/task/describe.h"
#include "greenroom/scheduler/time/tick_clock.h"
#include "greenroom/scheduler/time/time.h"
#include "greenroom/scheduler/trace/symbolizer.h"
#include "greenroom/scheduler/unwind/frame_description.h"
#include "greenroom/scheduler/watch/sleeping_thread.h"

#if GREENROOM_TSAN
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);
#endif

namespace greenroom::detail {

namespace {

constexpr std::int64_t answer_time = 1'000'000'000;

// What is asked of a stalled thread. There is one, as there is one who asks; a late answer finds
// the question withdrawn.
struct Question {
  enum class State : std::uint32_t { none, asked, being_answered, answered };
  std::atomic<State> state{State::none};
  std::atomic<Hub*> hub{nullptr};
  std::uint64_t progress = 0;
  StallReport report;
};
constinit Question question;

}  // namespace

// On the hub's thread, in the handler; or on another one while that sleeps.
struct StallSnapshot {
  static void take_identity(const Hub& hub, StallReport& report) {
    const Task* task = hub.current_;
    report.is_excused = task != nullptr && task == hub.thread_task_ && hub.task_count_ == 1;
    report.is_hub_work = task == nullptr;
    report.who = task ? identity_of(*task) : TaskIdentity{};
  }

  // Where the fiber's stack ends, or the one that it has borrowed; 0: it is the thread's own.
  static std::uintptr_t stack_end(const Hub& hub) {
    const Stack* stack = hub.fiber_ ? hub.fiber_->stack_in_use() : nullptr;
    return stack ? reinterpret_cast<std::uintptr_t>(stack->top()) : 0;
  }
};

namespace {

// In the handler.
void take_snapshot(Hub& hub, const ucontext_t& context, StallReport& report) {
  StallSnapshot::take_identity(hub, report);
  report.is_excused = report.is_excused || is_symbolizing();  // that is no fault of the task's
  const greg_t* registers = context.uc_mcontext.gregs;
  const UnwindContext innermost{.pc = static_cast<std::uintptr_t>(registers[REG_RIP]) + 1,
                                .sp = static_cast<std::uintptr_t>(registers[REG_RSP]),
                                .fp = static_cast<std::uintptr_t>(registers[REG_RBP])};
  StackBounds bounds{.low = innermost.sp};
  if (const std::uintptr_t end = StallSnapshot::stack_end(hub)) bounds.high = end;
  report.trace = capture_stack_trace(innermost, bounds);
}

// From outside.

// What a thread that sleeps has written it wrote before; the sanitizer does not know that.
class ReadsOfASleeper {
 public:
#if GREENROOM_TSAN
  ReadsOfASleeper() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~ReadsOfASleeper() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
#else
  ReadsOfASleeper() {}
  ~ReadsOfASleeper() {}
#endif
  ReadsOfASleeper(const ReadsOfASleeper&) = delete;
  ReadsOfASleeper& operator=(const ReadsOfASleeper&) = delete;
};

std::uintptr_t end_of_thread_stack(pthread_t thread) {
  pthread_attr_t attributes;
  if (::pthread_getattr_np(thread, &attributes) != 0) return 0;
  void* base = nullptr;
  std::size_t size = 0;
  ::pthread_attr_getstack(&attributes, &base, &size);
  ::pthread_attr_destroy(&attributes);
  return reinterpret_cast<std::uintptr_t>(base) + size;
}

bool is_in_symbolizer(const StackTrace& trace) {
  for (int i = 0; i < trace.size; ++i) {
    FrameDescription function;
    if (find_frame_description(reinterpret_cast<std::uintptr_t>(trace.frames[i]) - 1, function) &&
        function.start == reinterpret_cast<std::uintptr_t>(&symbolize))
      return true;
  }
  return false;
}

// False: the thread does not sleep in a system call, or cannot be looked at. All that is read is
// thrown away if it has run meanwhile.
bool look_from_outside(HubThread thread, const Hub& hub, std::uint64_t progress,
                       StallReport& report) {
  const std::optional<SystemCall> call = system_call_of(thread.id);
  if (!call) return false;
  report = {.is_in_system_call = true};
  std::uintptr_t end = 0;
  {
    const ReadsOfASleeper reads;
    StallSnapshot::take_identity(hub, report);
    end = StallSnapshot::stack_end(hub);
  }
  if (end == 0) end = end_of_thread_stack(thread.handle);
  const std::vector<std::uintptr_t> stack = copy_stack(call->sp, end);
  if (stack.empty() || system_call_of(thread.id) != call) return false;
  report.trace = capture_sleeping(*call, stack);
  // The same call, and it may still be of another slice.
  report.is_excused =
      report.is_excused || is_in_symbolizer(report.trace) || hub.progress() != progress;
  return true;
}

struct sigaction previous_action;

void on_signal(int signal, siginfo_t* info, void* context) {
  using State = Question::State;
  if (info->si_code != SI_QUEUE || info->si_value.sival_ptr != &question) {
    if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
      previous_action.sa_sigaction(signal, info, context);
    } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
      previous_action.sa_handler(signal);
    }
    return;
  }
  const int error = errno;
  Hub* hub = Hub::current_if_any();
  State expected = State::asked;
  // A signal that was blocked for long may come while another thread is asked.
  if (hub == question.hub.load() &&
      question.state.compare_exchange_strong(expected, State::being_answered)) {
    // It may have gone on meanwhile.
    if (hub && hub->progress() == question.progress) {
      take_snapshot(*hub, *static_cast<const ucontext_t*>(context), question.report);
      hub->housekeep_soon();  // which wakes the watch, if that sleeps until this stall is over
    } else {
      question.report.is_excused = true;
    }
    question.state.store(State::answered);
    futex_wake_all(question.state);
  }
  errno = error;
}

bool is_handler_ours() {
  struct sigaction action = {};
  sigaction(SIGURG, nullptr, &action);
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == on_signal;
}

const StallReport* ask_by_signal(pthread_t thread, Hub& hub, std::uint64_t progress) {
  using State = Question::State;
  if (!is_handler_ours()) return nullptr;
  question.hub = &hub;
  question.progress = progress;
  question.report = {};
  question.state.store(State::asked);
  sigval value{};
  value.sival_ptr = &question;
  if (::pthread_sigqueue(thread, SIGURG, value) != 0) {
    question.state.store(State::none);
    return nullptr;
  }
  const std::int64_t until = kernel_now() + answer_time;
  for (;;) {
    State state = question.state.load();
    if (state == State::answered) break;
    const std::int64_t left = until - kernel_now();
    if (left <= 0) {
      // The thread blocks the signal, or is stopped.
      if (state == State::asked && question.state.compare_exchange_strong(state, State::none))
        return nullptr;
      if (state == State::answered) break;
    }
    futex_wait(question.state, state, std::clamp<std::int64_t>(left, 1'000'000, answer_time));
  }
  question.state.store(State::none);
  return &question.report;
}

}  // namespace

void install_stall_probe() {
  static std::once_flag installed;
  std::call_once(installed, [] {
    sigaction(SIGURG, nullptr, &previous_action);
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigaction(SIGURG, &action, nullptr);
  });
}

const StallReport* ask_for_stall(HubThread thread, Hub& hub, std::uint64_t progress) {
  constexpr int looks = 3;
  for (int n = 0; n < looks; ++n) {
    if (look_from_outside(thread, hub, progress, question.report)) {
      hub.look_at_clock_soon();  // and housekeeping wakes the watch, as below
      return &question.report;
    }
    ::sched_yield();
  }
  return ask_by_signal(thread.handle, hub, progress);
}

}  // namespace greenroom::detail
