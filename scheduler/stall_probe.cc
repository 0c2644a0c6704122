// The handler takes no lock, and neither allocates nor calls anything that might: it interrupts
// malloc as well.
#include "greenroom/scheduler/stall_probe.h"

#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>

#include "greenroom/scheduler/futex.h"
#include "greenroom/scheduler/hub.h"
#include "greenroom/scheduler/symbolizer.h"
#include "greenroom/scheduler/tick_clock.h"

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

// In the handler, on the hub's thread.
struct StallSnapshot {
  static void take(Hub& hub, const ucontext_t& context, StallReport& report) {
    const Task* task = hub.current_;
    const bool is_alone = task != nullptr && task == hub.thread_task_ && hub.task_count_ == 1;
    report.is_excused = is_alone || is_symbolizing();  // the latter is no fault of the task's
    report.is_hub_work = task == nullptr;
    report.who = task ? identity_of(*task) : TaskIdentity{};
    const greg_t* registers = context.uc_mcontext.gregs;
    const UnwindContext innermost{.pc = static_cast<std::uintptr_t>(registers[REG_RIP]) + 1,
                                  .sp = static_cast<std::uintptr_t>(registers[REG_RSP]),
                                  .fp = static_cast<std::uintptr_t>(registers[REG_RBP])};
    StackBounds bounds{.low = innermost.sp};
    if (hub.fiber_ && !hub.fiber_->is_thread())
      bounds.high = reinterpret_cast<std::uintptr_t>(hub.fiber_->stack().top());
    report.trace = capture_stack_trace(innermost, bounds);
  }
};

namespace {

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
      StallSnapshot::take(*hub, *static_cast<const ucontext_t*>(context), question.report);
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

}  // namespace

void install_stall_probe() {
  sigaction(SIGURG, nullptr, &previous_action);
  struct sigaction action = {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigaction(SIGURG, &action, nullptr);
}

const StallReport* ask_for_stall(pthread_t thread, Hub& hub, std::uint64_t progress) {
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

}  // namespace greenroom::detail
