// The list is lock-free, so that the handler of SIGABRT can write what is left. Makers push onto
// `incoming`; the writer turns what has come round and takes it from `taken`, item by item. An item
// is written by whoever claims it. A writer that finds one claimed by the handler stops for ever,
// and from then on the list is the handler's.
#include "greenroom/scheduler/trace/report_writer.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <mutex>
#include <utility>

#include "greenroom/scheduler/system/futex.h"
#include "greenroom/scheduler/system/previous_action.h"
#include "greenroom/scheduler/system/signal_safe_text.h"

namespace greenroom::detail {
namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t patience = 5 * second;  // debug information can be large
constexpr std::int64_t patience_at_an_abort = 2 * second;
constexpr std::int64_t quiet_time = second;
constexpr std::uint32_t most_waiting = 1000;

struct Item {
  Item* next = nullptr;
  std::atomic<bool> is_claimed{false};
  std::string before;
  StackTrace trace;
  std::string after;
};

enum class State : std::uint32_t {
  none,    // there is no thread; the next item starts one
  awake,   // the thread looks at the list again before it sleeps
  asleep,  // whoever pushes wakes it
  ending,  // a fork is under way: the thread ends when all is written, and is not started
};

// Without a destructor: reports are made until the very end of the process.
constinit std::atomic<State> state{State::none};
constinit std::atomic<Item*> incoming{nullptr};  // newest first
constinit std::atomic<Item*> taken{nullptr};     // the writer's, oldest first
constinit std::atomic<std::uint32_t> made{0};    // counted before they are pushed
constinit std::atomic<std::uint32_t> written{0};
constinit std::atomic<bool> is_finishing{false};  // nothing is freed any more
constinit std::atomic<bool> is_exiting{false};    // nobody waits for the thread any more
constinit std::atomic<void (*)() noexcept> when_quiet{nullptr};
constinit std::atomic<void (*)() noexcept> at_finish{nullptr};
constinit std::atomic<bool> has_begun_to_finish{false};
constinit thread_local bool is_writer = false;

// Guards the thread's start and end.
constinit std::mutex thread_mutex;
constinit pthread_t thread = {};

std::int64_t monotonic_now() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * second + now.tv_nsec;
}

void write_text(const std::string& text) { std::fputs(text.c_str(), stderr); }

std::string text_of(const std::string& before, const StackTrace& trace, const std::string& after) {
  return before + (trace.size > 0 ? to_string(trace) : std::string()) + after;
}

Item* reverse(Item* item) {
  Item* reversed = nullptr;
  while (item) {
    Item* next = std::exchange(item->next, reversed);
    reversed = std::exchange(item, next);
  }
  return reversed;
}

// The thread.

// Async-signal-safe.
void write_with_addresses(const Item& item) {
  write_all(item.before);
  for (int i = 0; i < item.trace.size; ++i) {
    SignalSafeLine line;
    append_code_address(line << "    at ",
                        reinterpret_cast<std::uintptr_t>(item.trace.frames[i]) - 1);
    line.write();
  }
  write_all(item.after);
}

void write_item(Item& item) noexcept {
  std::string text;
  bool has_text = true;
  try {
    text = text_of(item.before, item.trace, item.after);
  } catch (...) {  // no memory
    has_text = false;
  }
  if (item.is_claimed.exchange(true)) {
    for (;;) pause();
  }
  if (has_text) {
    write_text(text);
  } else {
    write_with_addresses(item);
  }
}

void write_what_has_come() noexcept {
  while (Item* batch = reverse(incoming.exchange(nullptr))) {
    taken = batch;
    while (Item* item = taken) {
      write_item(*item);
      taken = item->next;
      written.fetch_add(1);
      futex_wake_all(written);
      // Whoever finishes either sees the list without it, or is seen here.
      if (!is_finishing) delete item;
    }
  }
}

// Sleeps until something has come; once for a second only if somebody waits for quiet.
void sleep_as_writer() noexcept {
  const std::int64_t slept_from = monotonic_now();
  while (state == State::asleep) {
    if (!when_quiet.load()) {
      futex_wait(state, State::asleep, no_deadline);
      continue;
    }
    const std::int64_t left = slept_from + quiet_time - monotonic_now();
    if (left > 0) {
      futex_wait(state, State::asleep, left);
    } else if (const auto f = when_quiet.exchange(nullptr)) {
      f();
    }
  }
}

void run_writer() noexcept {
  is_writer = true;
  for (;;) {
    write_what_has_come();
    State seen = State::awake;
    if (!state.compare_exchange_strong(seen, State::asleep)) {
      if (seen == State::ending && !incoming.load()) return;
      continue;
    }
    // Something may have been pushed before that could be seen.
    if (incoming.load()) {
      seen = State::asleep;
      state.compare_exchange_strong(seen, State::awake);
      continue;
    }
    sleep_as_writer();
  }
}

// With the lock.
void start_thread() {
  state = State::awake;
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  const int error = pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        run_writer();
        return nullptr;
      },
      nullptr);
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  if (error == 0) {
    pthread_setname_np(thread, "greenroom-report");
    return;
  }
  state = State::none;
  write_what_has_come();
}

// Around a fork. What others push meanwhile is written by the parent.

void prepare_fork() {
  thread_mutex.lock();
  const State before = state.exchange(State::ending);
  if (before == State::none) return;
  futex_wake_all(state);
  pthread_join(thread, nullptr);
}

void parent_after_fork() {
  state = State::none;
  if (incoming.load() || when_quiet.load()) start_thread();
  thread_mutex.unlock();
}

void child_after_fork() {
  incoming = nullptr;
  taken = nullptr;
  when_quiet = nullptr;
  written = made.load();
  state = State::none;
  thread_mutex.unlock();
}

// The end of the process.

void finish_at_exit() {
  if (!wait_for_reports()) finish_reports();
  is_exiting = true;
}

struct sigaction previous_abort_action;

void on_abort(int signal, siginfo_t* info, void* context) {
  constexpr timespec moment{.tv_sec = 0, .tv_nsec = 10'000'000};
  static constinit std::atomic<pid_t> aborting{0};
  const int error = errno;
  for (pid_t who = 0; !aborting.compare_exchange_strong(who, gettid()); who = 0) {
    if (who == gettid()) {  // a handler that was put in place later leads back to this one
      ::signal(SIGABRT, SIG_DFL);
      return;
    }
    ::nanosleep(&moment, nullptr);  // the first one ends us all, unless a handler holds it off
  }
  finish_reports();
  errno = error;
  pass_on(previous_abort_action, signal, info, context);
  aborting = 0;
}

void handle_aborts() {
  sigaction(SIGABRT, nullptr, &previous_abort_action);
  struct sigaction action = {};
  action.sa_sigaction = on_abort;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGABRT, &action, nullptr);
}

// With the lock.
void prepare_ends() {
  static constinit bool is_prepared = false;
  if (!std::exchange(is_prepared, true)) {
    pthread_atfork(&prepare_fork, &parent_after_fork, &child_after_fork);
    std::atexit(&finish_at_exit);
    std::at_quick_exit(&finish_at_exit);
    handle_aborts();
  }
}

// Somebody else may hold the lock for a fork which waits for the calling thread to end: then the
// fork starts the thread, too.
void start_if_none() {
  while (state == State::none) {
    const std::unique_lock lock(thread_mutex, std::try_to_lock);
    if (!lock) {
      sched_yield();
      continue;
    }
    if (state != State::none) return;
    prepare_ends();
    start_thread();
  }
}

void wake_writer() {
  State asleep = State::asleep;
  if (state.compare_exchange_strong(asleep, State::awake)) {
    futex_wake_all(state);
  } else if (asleep == State::none) {
    start_if_none();
  }
}

void push(std::unique_ptr<Item> owned) {
  Item* item = owned.release();
  made.fetch_add(1);
  item->next = incoming.load();
  while (!incoming.compare_exchange_weak(item->next, item)) {
  }
  wake_writer();
}

bool is_nothing_waiting() { return made.load() == written.load(); }

// At most that many more; the counters may turn over.
bool wait_for_written(std::uint32_t target, std::int64_t limit) noexcept {
  if (is_writer) return true;
  const std::int64_t until = monotonic_now() + limit;
  for (;;) {
    const std::uint32_t count = written.load();
    if (static_cast<std::int32_t>(count - target) >= 0) return true;
    const std::int64_t left = until - monotonic_now();
    if (left <= 0) return false;
    futex_wait(written, count, left);
  }
}

// Async-signal-safe. What the writer has claimed it is writing: it is given a moment for that.
void write_rest_with_addresses() {
  constexpr std::int64_t moment = second / 5;
  Item* item = taken;
  while (item && item->is_claimed.exchange(true)) {
    wait_for_written(written.load() + 1, moment);
    item = item == taken ? item->next : taken.load();
  }
  for (; item; item = item->next) write_with_addresses(*item);
  for (item = reverse(incoming.exchange(nullptr)); item; item = item->next)
    write_with_addresses(*item);
}

}  // namespace

void write_report(LookUp where, std::string before, const StackTrace* trace,
                  std::string after) noexcept {
  try {
    const bool is_elsewhere = where == LookUp::elsewhere && !is_exiting && !is_writer;
    const bool has_trace = trace && trace->size > 0;
    if (is_elsewhere && (has_trace || !is_nothing_waiting())) {
      auto item = std::make_unique<Item>();
      item->before = std::move(before);
      if (has_trace) item->trace = *trace;
      item->after = std::move(after);
      if (made.load() - written.load() >= most_waiting)
        wait_for_written(made.load() - most_waiting / 2, patience);
      return push(std::move(item));
    }
    if (!is_elsewhere) wait_for_reports();
    write_text(text_of(before, has_trace ? *trace : StackTrace(), after));
  } catch (...) {
    write_all("greenroom: no memory for a report\n");
  }
}

void write_in_order(std::string text) noexcept {
  write_report(LookUp::elsewhere, std::move(text), nullptr);
}

bool wait_for_reports() noexcept { return wait_for_written(made.load(), patience); }

void call_when_quiet(void (*f)() noexcept) noexcept {
  if (when_quiet.exchange(f)) return;
  wake_writer();
}

void call_at_finish(void (*f)() noexcept) noexcept { at_finish = f; }

bool has_begun_to_finish_reports() noexcept { return has_begun_to_finish; }

void finish_reports() noexcept {
  if (is_finishing) return;
  has_begun_to_finish = true;
  // The writer itself may be what fails.
  if (is_writer || !wait_for_written(made.load(), patience_at_an_abort)) {
    if (is_finishing.exchange(true)) return;
    write_rest_with_addresses();
  }
  if (const auto f = at_finish.exchange(nullptr)) f();
}

}  // namespace greenroom::detail
