// Order of locks: `fork_mutex`, then `mutex`.
#include "greenroom/scheduler/stall_watch.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "greenroom/scheduler/dump.h"
#include "greenroom/scheduler/futex.h"
#include "greenroom/scheduler/hub.h"
#include "greenroom/scheduler/stack_trace.h"
#include "greenroom/scheduler/stall_probe.h"
#include "greenroom/scheduler/tick_clock.h"

namespace greenroom::detail {

constinit std::atomic<StallWatchState> stall_watch_state{StallWatchState::off};

namespace {

constexpr std::int64_t nanoseconds_per_millisecond = 1'000'000;
// A look that comes so late comes to a process that stood still.
constexpr std::int64_t longest_delay = 1'000 * nanoseconds_per_millisecond;

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
  install_stall_probe();
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
    futex_wake_all(stall_watch_state);
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
    futex_wake_all(stall_watch_state);
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
  const std::int64_t now = kernel_now();
  const std::lock_guard lock(mutex_);
  // The whole process stood still (a debugger, a suspended machine): what it did then is no stall.
  const bool was_stopped = looked_at_ != 0 && now - looked_at_ > 4 * period_ + longest_delay;
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
  const StallReport* report = ask_for_stall(watched.thread, *watched.hub, watched.progress);
  if (!report) {
    write("greenroom: " + hub + " has been stalled for " + time +
          ", and its thread does not answer SIGURG: no stack\n");
    return;
  }
  if (report->is_excused) return;
  const std::string who = report->is_hub_work ? "hub work" : describe(report->who);
  write("greenroom: " + who + " has run for " + time +
        " without a blocking call, and nothing else could on " + hub +
        "; yield() now and then, or offload() such work\n" + to_string(report->trace));
}

}  // namespace

void watch_for_stalls(Hub& hub) { StallWatch::instance().add(hub); }

void end_stall_watch(Hub& hub) noexcept { StallWatch::instance().remove(hub); }

void wake_stall_watch() noexcept { StallWatch::instance().wake(); }

}  // namespace greenroom::detail
