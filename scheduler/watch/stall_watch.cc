// Order of locks: `fork_mutex`, then `mutex`.
//
// Over 400 lines: the thread, what it looks at and what it says share one lock and one life around
// a fork.
#include "greenroom/scheduler/watch/stall_watch.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/system/futex.h"
#include "greenroom/scheduler/task/describe.h"
#include "greenroom/scheduler/time/tick_clock.h"
#include "greenroom/scheduler/trace/report_writer.h"
#include "greenroom/scheduler/trace/stack_trace.h"
#include "greenroom/scheduler/watch/end_guard.h"
#include "greenroom/scheduler/watch/sleeping_thread.h"
#include "greenroom/scheduler/watch/stall_probe.h"

namespace greenroom::detail {

constinit std::atomic<StallWatchState> stall_watch_state{StallWatchState::off};

namespace {

constexpr std::int64_t nanoseconds_per_millisecond = 1'000'000;
// While a hub is awake; sooner if a slice's time is up before.
constexpr std::int64_t look_period = 5 * nanoseconds_per_millisecond;
// So long a slice has the processor before it is told to end.
constexpr std::int64_t slice_time = 10 * nanoseconds_per_millisecond;
// A look that comes so late comes to a process that stood still.
constexpr std::int64_t longest_delay = 1'000 * nanoseconds_per_millisecond;

// Neither stdio's lock nor a pipe that nobody reads holds up the watch: a stalled thread may wait
// for just these. So what is told here is not put behind reports that are still looked up.
void write(std::string_view text) {
  constexpr std::size_t never_blocks = 4096;  // for a pipe with room; PIPE_BUF
  constexpr int patience_in_milliseconds = 1000;
  while (!text.empty()) {
    pollfd file{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&file, 1, patience_in_milliseconds) <= 0) return;
    const ssize_t size = ::write(STDERR_FILENO, text.data(), std::min(text.size(), never_blocks));
    if (size <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(size));
  }
}

std::string milliseconds(std::int64_t duration) {
  return std::to_string(duration / nanoseconds_per_millisecond);
}

// Whether there is a thread, for signal handlers.
constinit std::atomic<bool> has_stall_thread{false};
constinit std::atomic<void (*)() noexcept> errand{nullptr};

struct WatchedHub {
  Hub* hub = nullptr;
  pthread_t thread = {};
  pid_t thread_id = 0;
  bool is_reported = true;  // its stalls are
  // At the last look; what follows is about the time since it moved.
  std::uint64_t progress = 0;
  std::int64_t since = no_deadline;  // the look that saw it first; no_deadline: it was asleep
  std::int64_t started = 0;          // the slice, or a little before that
  std::int64_t run_delay = -1;       // -1: not asked for yet
  std::int64_t overdue_since = no_deadline;  // when the slice was told to end
  std::int64_t run_delay_then = 0;
  bool is_judged = false;  // nothing more is to be done about this slice
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
  void do_not_report(Hub& hub) noexcept;
  void wake() noexcept;

 private:
  using State = StallWatchState;

  StallWatch();
  static std::int64_t limit_from_environment();
  static void prepare_fork();
  static void parent_after_fork();
  static void child_after_fork();
  void start_thread();
  void end_thread();
  void run();
  // Each returns the nanoseconds until it is to look again; no_deadline: not before a hub tells.
  std::int64_t look();
  std::int64_t look_at(WatchedHub& watched, std::int64_t now);
  std::int64_t look_at_end(std::int64_t now);
  void judge(WatchedHub& watched, std::int64_t duration, std::int64_t overdue);
  [[noreturn]] void end_process(WatchedHub& watched, const EndRequest& request,
                                std::int64_t duration);

  const std::int64_t limit_ = limit_from_environment();  // 0: stalls are not told of
  std::mutex fork_mutex_;
  std::mutex mutex_;
  std::vector<WatchedHub> hubs_;
  bool has_thread_ = false;
  pthread_t thread_ = {};
  // The thread's own: when the last look began, and when it was over, which takes long where a
  // stalled thread does not answer.
  std::int64_t looked_at_ = 0;
  std::int64_t look_ended_at_ = 0;
};

StallWatch::StallWatch() {
  if (limit_ > 0) install_stall_probe();
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
        "(no reports) to %lld. %lld is used.\n",
        text, static_cast<long long>(largest), static_cast<long long>(preset));
    return preset * nanoseconds_per_millisecond;
  }
  return value * nanoseconds_per_millisecond;
}

void StallWatch::add(Hub& hub) {
  const std::scoped_lock lock(fork_mutex_, mutex_);
  hubs_.push_back({.hub = &hub, .thread = ::pthread_self(), .thread_id = ::gettid()});
  if (!has_thread_) start_thread();
}

void StallWatch::remove(Hub& hub) noexcept {
  const std::lock_guard lock(mutex_);
  std::erase_if(hubs_, [&](const WatchedHub& watched) { return watched.hub == &hub; });
}

void StallWatch::do_not_report(Hub& hub) noexcept {
  const std::lock_guard lock(mutex_);
  for (WatchedHub& watched : hubs_) {
    if (watched.hub == &hub) watched.is_reported = false;
  }
}

void StallWatch::wake() noexcept {
  State asleep = stall_watch_state;
  if ((asleep != State::asleep && asleep != State::unmade) ||
      !stall_watch_state.compare_exchange_strong(asleep, State::awake))
    return;
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
  has_stall_thread = has_thread_ = error == 0;
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
    has_stall_thread = has_thread_ = false;
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
  stall_watch_state = watch.hubs_.empty() ? State::off : State::unmade;
  watch.mutex_.unlock();
  watch.fork_mutex_.unlock();
}

void StallWatch::run() {
  while (stall_watch_state != State::ending) {
    if (stall_watch_state == State::called) errand.load()();
    if (const std::int64_t wait = look(); wait != no_deadline) {
      futex_wait(stall_watch_state, State::awake, wait);
      continue;
    }
    State state = State::awake;
    if (!stall_watch_state.compare_exchange_strong(state, State::asleep)) continue;
    // A hub may have woken up, or a signal come, before it could see that.
    if (look() != no_deadline) {
      state = State::asleep;
      stall_watch_state.compare_exchange_strong(state, State::awake);
      continue;
    }
    while (stall_watch_state == State::asleep)
      futex_wait(stall_watch_state, State::asleep, no_deadline);
    looked_at_ = look_ended_at_ = 0;
  }
}

std::int64_t StallWatch::look() {
  const std::int64_t now = kernel_now();
  const std::lock_guard lock(mutex_);
  // The whole process stood still (a debugger, a suspended machine): what it did then is no stall.
  const bool was_stopped = look_ended_at_ != 0 && now - look_ended_at_ > longest_delay;
  std::int64_t wait = no_deadline;
  for (WatchedHub& watched : hubs_) {
    if (was_stopped) watched.since = no_deadline;
    wait = std::min(wait, look_at(watched, now));
  }
  looked_at_ = now;
  look_ended_at_ = kernel_now();
  return std::min(wait, look_at_end(now));
}

std::int64_t StallWatch::look_at(WatchedHub& watched, std::int64_t now) {
  Hub& hub = *watched.hub;
  const std::uint64_t slice = hub.statistics().slices;
  const std::uint64_t progress = slice + hub.statistics().housekeepings;
  if (hub.port().is_asleep()) {
    watched.since = no_deadline;
    return no_deadline;
  }
  if (watched.since == no_deadline || watched.progress != progress) {
    // The slice has begun after the look before, and after the housekeeping before it, which is
    // close: where slices are long, there is one before each.
    const std::int64_t earliest = std::max(looked_at_ != 0 ? looked_at_ : now, hub.housekept_at());
    watched.progress = progress;
    watched.since = now;
    watched.started = std::min(earliest, now);
    watched.run_delay = -1;
    watched.overdue_since = no_deadline;
    watched.is_judged = false;
    return look_period;
  }
  if (watched.is_judged) return no_deadline;
  const std::int64_t run_delay = run_delay_of(watched.thread_id);
  if (watched.run_delay < 0) watched.run_delay = run_delay;
  const std::int64_t duration = now - watched.started - (run_delay - watched.run_delay);
  if (duration < slice_time) return std::min(slice_time - duration, look_period);
  // Not for good the first time, if the hub was just throwing away what was meant for another
  // slice.
  if (watched.overdue_since == no_deadline || !hub.is_overdue(slice)) {
    hub.end_slice(slice);
    watched.overdue_since = now;
    watched.run_delay_then = run_delay;
    return look_period;
  }
  const bool is_reported = watched.is_reported && limit_ > 0;
  const std::int64_t overdue = now - watched.overdue_since - (run_delay - watched.run_delay_then);
  if (is_reported && overdue < limit_) return std::min(limit_ - overdue, look_period);
  if (is_reported) judge(watched, duration, overdue);
  watched.is_judged = true;
  hub.look_at_clock_soon();  // its housekeeping wakes the watch, if that sleeps until then
  return no_deadline;
}

std::int64_t StallWatch::look_at_end(std::int64_t now) {
  const EndRequest request = end_request();
  if (!request.hub) return no_deadline;
  const auto watched = std::find_if(
      hubs_.begin(), hubs_.end(), [&](const WatchedHub& each) { return each.hub == request.hub; });
  if (watched == hubs_.end() || watched->since == no_deadline) return no_deadline;
  const std::int64_t since = std::max(watched->since, request.excused_until);
  const std::int64_t end_at = std::max(request.due, add_saturated(since, end_patience));
  if (now < end_at) return look_period;  // a second signal brings it forward
  end_process(*watched, request, now - watched->since);
}

void StallWatch::judge(WatchedHub& watched, std::int64_t duration, std::int64_t overdue) {
  const std::string time = milliseconds(duration) + " ms";
  const std::string hub = "hub " + std::to_string(watched.hub->id());
  const StallReport* report = ask_for_stall({.handle = watched.thread, .id = watched.thread_id},
                                            *watched.hub, watched.progress);
  if (!report) {
    write("greenroom: " + hub + " has been stalled for " + time +
          ", and its thread does not answer SIGURG: no stack\n");
    return;
  }
  // One that is about to end the process waits for what is left to be told.
  if (report->is_excused || has_begun_to_finish_reports()) return;
  const std::string who = report->is_hub_work ? "hub work" : describe(report->who);
  const std::string advice =
      report->is_in_system_call
          ? "; it is in a system call, which holds up the whole hub: offload() such work\n"
          : "; yield() now and then, or offload() such work\n";
  write("greenroom: " + who + " has run for " + time + ", the last " + milliseconds(overdue) +
        " ms without a blocking call, and nothing else could on " + hub + advice +
        to_string(report->trace));
}

// What the stuck thread holds may be what a report needs: an alarm, which no lock can hold up, ends
// the process as well.
void StallWatch::end_process(WatchedHub& watched, const EndRequest& request,
                             std::int64_t duration) {
  constexpr unsigned report_time_in_seconds = 10;  // a stderr that nobody reads takes most of it
  std::signal(SIGALRM, SIG_DFL);
  sigset_t alarm_signal;
  sigemptyset(&alarm_signal);
  sigaddset(&alarm_signal, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &alarm_signal, nullptr);
  ::alarm(report_time_in_seconds);

  write("greenroom: run() was told to end by " +
        std::string(request.is_second ? "a second signal" : "a signal, and its grace is over") +
        "; hub " + std::to_string(watched.hub->id()) + " has not moved for " +
        milliseconds(duration) +
        " ms and cannot end it, so the process ends here, with status 1\n");
  install_stall_probe();
  const StallReport* report = ask_for_stall({.handle = watched.thread, .id = watched.thread_id},
                                            *watched.hub, watched.progress);
  if (report) {
    const std::string who = report->is_hub_work ? "hub work" : describe(report->who);
    write("greenroom: " + who + " holds the hub" +
          (report->is_in_system_call ? ", in a system call\n" : "\n") + to_string(report->trace));
  } else {
    write("greenroom: the hub's thread does not answer SIGURG: no stack\n");
  }
  finish_reports();
  ::_exit(1);
}

}  // namespace

void watch_for_stalls(Hub& hub) { StallWatch::instance().add(hub); }

void end_stall_watch(Hub& hub) noexcept { StallWatch::instance().remove(hub); }

void do_not_report_stalls(Hub& hub) noexcept { StallWatch::instance().do_not_report(hub); }

bool run_on_stall_watch(void (*work)() noexcept) noexcept {
  if (!has_stall_thread) return false;
  errand = work;
  StallWatchState state = stall_watch_state;
  while (state == StallWatchState::awake || state == StallWatchState::asleep) {
    if (!stall_watch_state.compare_exchange_weak(state, StallWatchState::called)) continue;
    futex_wake_all(stall_watch_state);
    return true;
  }
  return false;
}

void wake_stall_watch() noexcept { StallWatch::instance().wake(); }

void rouse_stall_watch() noexcept {
  StallWatchState asleep = StallWatchState::asleep;
  stall_watch_state.compare_exchange_strong(asleep, StallWatchState::awake);
  futex_wake_all(stall_watch_state);
}

}  // namespace greenroom::detail
