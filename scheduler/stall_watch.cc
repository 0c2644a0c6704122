// Order of locks: `fork_mutex`, then `mutex`. The handler takes none, and neither allocates nor
// calls anything that might: it interrupts malloc as well.
#include "greenroom/scheduler/stall_watch.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "greenroom/scheduler/dump.h"
#include "greenroom/scheduler/hub.h"
#include "greenroom/scheduler/stack_trace.h"

namespace greenroom::detail {

constinit std::atomic<StallWatchState> stall_watch_state{StallWatchState::off};

namespace {

constexpr std::int64_t nanoseconds_per_millisecond = 1'000'000;
constexpr std::int64_t answer_time = 1'000 * nanoseconds_per_millisecond;

std::int64_t monotonic_now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

template <class T>
void futex_wait(std::atomic<T>& word, T value, std::int64_t nanoseconds) {
  static_assert(sizeof word == 4);
  const timespec timeout{nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value,
            nanoseconds == no_deadline ? nullptr : &timeout, nullptr, 0);
}

template <class T>
void futex_wake(std::atomic<T>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

// ---- The stack of a stalled thread

struct StallReport {
  bool is_excused = false;  // nobody waits for it
  bool is_hub_work = false;
  TaskIdentity who;
  StackTrace trace = {};
};

// What is asked of a stalled thread. There is one, as there is one who asks; a late answer finds
// the question withdrawn.
struct Question {
  enum class State : std::uint32_t { none, asked, being_answered, answered };
  std::atomic<State> state{State::none};
  Hub* hub = nullptr;
  std::uint64_t progress = 0;
  StallReport report;
};
constinit Question question;

}  // namespace

// In the handler, on the hub's thread.
struct StallSnapshot {
  static void take(Hub& hub, const ucontext_t& context, StallReport& report) {
    const Task* task = hub.current_;
    report.is_excused = task != nullptr && task == hub.thread_task_ && hub.task_count_ == 1;
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
  State expected = State::asked;
  if (question.state.compare_exchange_strong(expected, State::being_answered)) {
    Hub* hub = Hub::current_if_any();
    // It may have gone on meanwhile.
    if (hub && hub == question.hub && hub->progress() == question.progress) {
      StallSnapshot::take(*hub, *static_cast<const ucontext_t*>(context), question.report);
      hub->housekeep_soon();  // which wakes the watch, if that sleeps until this stall is over
    } else {
      question.report.is_excused = true;
    }
    question.state.store(State::answered);
    futex_wake(question.state);
  }
  errno = error;
}

void install_handler() {
  sigaction(SIGURG, nullptr, &previous_action);
  struct sigaction action = {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigaction(SIGURG, &action, nullptr);
}

bool is_handler_ours() {
  struct sigaction action = {};
  sigaction(SIGURG, nullptr, &action);
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == on_signal;
}

enum class Answer { given, none };

Answer ask(pthread_t thread, Hub& hub, std::uint64_t progress) {
  using State = Question::State;
  if (!is_handler_ours()) return Answer::none;
  question.hub = &hub;
  question.progress = progress;
  question.report = {};
  question.state.store(State::asked);
  sigval value{};
  value.sival_ptr = &question;
  if (::pthread_sigqueue(thread, SIGURG, value) != 0) {
    question.state.store(State::none);
    return Answer::none;
  }
  const std::int64_t until = monotonic_now() + answer_time;
  for (;;) {
    State state = question.state.load();
    if (state == State::answered) break;
    const std::int64_t left = until - monotonic_now();
    if (left <= 0) {
      // The thread blocks the signal, or is stopped.
      if (state == State::asked && question.state.compare_exchange_strong(state, State::none))
        return Answer::none;
      if (state == State::answered) break;
    }
    futex_wait(question.state, state, std::clamp<std::int64_t>(left, 1'000'000, answer_time));
  }
  question.state.store(State::none);
  return Answer::given;
}

// ---- The watch

void write(const std::string& text) { std::fputs(text.c_str(), stderr); }

// The time that a thread was ready to run and another one had the processor; 0 where the kernel
// does not count it.
std::int64_t run_delay_of(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/schedstat");
  std::int64_t on_processor = 0;
  std::int64_t delay = 0;
  file >> on_processor >> delay;
  return file ? delay : 0;
}

struct WatchedHub {
  Hub* hub = nullptr;
  pthread_t thread = {};
  pid_t thread_id = 0;
  std::uint64_t progress = 0;  // at the last look; what follows is about the time since it moved
  std::int64_t since = no_deadline;  // no_deadline: it was asleep
  std::int64_t run_delay = -1;       // -1: not asked for yet
  bool is_judged = false;            // told of, or excused
};

class StallWatch {
 public:
  static StallWatch& instance() {
    // Used until the last thread has ended.
    static auto* watch = new StallWatch;
    return *watch;
  }

  void add(Hub& hub);
  void remove(Hub& hub) noexcept;
  void wake() noexcept;

 private:
  enum class Look { busy, quiet };
  using State = StallWatchState;

  StallWatch();
  static std::int64_t limit_from_environment();
  static void prepare_fork();
  static void parent_after_fork();
  static void child_after_fork();
  void start_thread();
  void end_thread();
  void run();
  // Busy if a hub is, and is not judged yet.
  Look look();
  Look look_at(WatchedHub& watched, std::int64_t now);
  void judge(WatchedHub& watched, std::int64_t duration);

  const std::int64_t limit_ = limit_from_environment();
  const std::int64_t period_ = std::max<std::int64_t>(limit_ / 2, nanoseconds_per_millisecond);
  std::mutex fork_mutex_;
  std::mutex mutex_;
  std::vector<WatchedHub> hubs_;
  bool has_thread_ = false;
  pthread_t thread_ = {};
  std::int64_t looked_at_ = 0;  // the thread's own
};

StallWatch::StallWatch() {
  if (limit_ == 0) return;
  install_handler();
  pthread_atfork(&prepare_fork, &parent_after_fork, &child_after_fork);
}

std::int64_t StallWatch::limit_from_environment() {
  constexpr std::int64_t preset = 100;
  constexpr std::int64_t largest = 86'400'000;
  const char* text = std::getenv("GREENROOM_STALL_MS");
  if (!text || *text == '\0') return preset * nanoseconds_per_millisecond;
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(text, &end, 10);
  if (*end != '\0' || errno != 0 || value < 0 || value > largest) {
    std::fprintf(
        stderr,
        "greenroom: GREENROOM_STALL_MS is '%s'; it must be a number of milliseconds from 0 "
        "(no stall watch) to %lld. %lld is used.\n",
        text, static_cast<long long>(largest), static_cast<long long>(preset));
    return preset * nanoseconds_per_millisecond;
  }
  return value * nanoseconds_per_millisecond;
}

void StallWatch::add(Hub& hub) {
  if (limit_ == 0) return;
  const std::scoped_lock lock(fork_mutex_, mutex_);
  hubs_.push_back({.hub = &hub, .thread = ::pthread_self(), .thread_id = ::gettid()});
  if (!has_thread_) start_thread();
}

void StallWatch::remove(Hub& hub) noexcept {
  if (limit_ == 0) return;
  const std::lock_guard lock(mutex_);
  std::erase_if(hubs_, [&](const WatchedHub& watched) { return watched.hub == &hub; });
}

void StallWatch::wake() noexcept {
  State asleep = State::asleep;
  if (!stall_watch_state.compare_exchange_strong(asleep, State::awake)) return;
  const std::lock_guard lock(mutex_);
  if (has_thread_) {
    futex_wake(stall_watch_state);
  } else if (!hubs_.empty()) {
    start_thread();  // in a forked child
  }
}

// With the lock. All signals are for other threads.
void StallWatch::start_thread() {
  stall_watch_state = State::awake;
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  const int error = pthread_create(
      &thread_, nullptr,
      [](void* watch) -> void* {
        static_cast<StallWatch*>(watch)->run();
        return nullptr;
      },
      this);
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  has_thread_ = error == 0;
  if (has_thread_) {
    pthread_setname_np(thread_, "greenroom-stall");
  } else {
    stall_watch_state = State::off;
    std::fprintf(stderr, "greenroom: no thread for the stall watch: %s\n", std::strerror(error));
  }
}

void StallWatch::end_thread() {
  pthread_t thread = {};
  {
    const std::lock_guard lock(mutex_);
    if (!has_thread_) return;
    has_thread_ = false;
    thread = thread_;
    stall_watch_state = State::ending;
    futex_wake(stall_watch_state);
  }
  pthread_join(thread, nullptr);
}

// A child of fork() has one thread, and so has its parent if it had no other than ours. Who forks
// may be asked for its stack meanwhile: the handler takes no lock.
void StallWatch::prepare_fork() {
  StallWatch& watch = instance();
  watch.fork_mutex_.lock();
  watch.end_thread();
  watch.mutex_.lock();
}

void StallWatch::parent_after_fork() {
  StallWatch& watch = instance();
  if (!watch.hubs_.empty()) watch.start_thread();
  watch.mutex_.unlock();
  watch.fork_mutex_.unlock();
}

void StallWatch::child_after_fork() {
  StallWatch& watch = instance();
  std::erase_if(watch.hubs_, [](const WatchedHub& watched) {
    return ::pthread_equal(watched.thread, ::pthread_self()) == 0;
  });
  // Most children call exec and want no thread: the next housekeeping of the hub starts it.
  for (WatchedHub& watched : watch.hubs_) {
    watched.thread_id = ::gettid();
    watched.hub->housekeep_soon();
  }
  stall_watch_state = watch.hubs_.empty() ? State::off : State::asleep;
  watch.mutex_.unlock();
  watch.fork_mutex_.unlock();
}

void StallWatch::run() {
  while (stall_watch_state != State::ending) {
    if (look() == Look::busy) {
      futex_wait(stall_watch_state, State::awake, period_);
      continue;
    }
    State state = State::awake;
    if (!stall_watch_state.compare_exchange_strong(state, State::asleep)) continue;
    // A hub may have woken up before it could see that.
    if (look() == Look::busy) {
      state = State::asleep;
      stall_watch_state.compare_exchange_strong(state, State::awake);
      continue;
    }
    while (stall_watch_state == State::asleep)
      futex_wait(stall_watch_state, State::asleep, no_deadline);
    looked_at_ = 0;
  }
}

StallWatch::Look StallWatch::look() {
  const std::int64_t now = monotonic_now();
  const std::lock_guard lock(mutex_);
  // The whole process stood still (a debugger, a suspended machine): what it did then is no stall.
  const bool was_stopped = looked_at_ != 0 && now - looked_at_ > 4 * period_ + answer_time;
  looked_at_ = now;
  Look result = Look::quiet;
  for (WatchedHub& watched : hubs_) {
    if (was_stopped) watched.since = no_deadline;
    if (look_at(watched, now) == Look::busy) result = Look::busy;
  }
  return result;
}

StallWatch::Look StallWatch::look_at(WatchedHub& watched, std::int64_t now) {
  const std::uint64_t progress = watched.hub->progress();
  if (watched.hub->port().is_asleep()) {
    watched.since = no_deadline;
    return Look::quiet;
  }
  if (watched.since == no_deadline || watched.progress != progress) {
    watched.progress = progress;
    watched.since = now;
    watched.run_delay = -1;
    watched.is_judged = false;
    return Look::busy;
  }
  if (watched.is_judged) return Look::quiet;
  if (watched.run_delay < 0) watched.run_delay = run_delay_of(watched.thread_id);
  const std::int64_t delayed = run_delay_of(watched.thread_id) - watched.run_delay;
  const std::int64_t duration = now - watched.since - delayed;
  if (duration < limit_) return Look::busy;
  judge(watched, duration);
  watched.is_judged = true;
  return Look::quiet;
}

void StallWatch::judge(WatchedHub& watched, std::int64_t duration) {
  const std::string time = std::to_string(duration / nanoseconds_per_millisecond) + " ms";
  const std::string hub = "hub " + std::to_string(watched.hub->id());
  if (ask(watched.thread, *watched.hub, watched.progress) == Answer::none) {
    write("greenroom: " + hub + " has been stalled for " + time +
          ", and its thread does not answer SIGURG: no stack\n");
    return;
  }
  const StallReport& report = question.report;
  if (report.is_excused) return;
  const std::string who = report.is_hub_work ? "hub work" : describe(report.who);
  write("greenroom: " + who + " has run for " + time +
        " without a blocking call, and nothing else could on " + hub +
        "; yield() now and then, or offload() such work\n" + to_string(report.trace));
}

}  // namespace

void watch_for_stalls(Hub& hub) { StallWatch::instance().add(hub); }

void end_stall_watch(Hub& hub) noexcept { StallWatch::instance().remove(hub); }

void wake_stall_watch() noexcept { StallWatch::instance().wake(); }

}  // namespace greenroom::detail
