#include "greenroom/actors/run/run.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/crash_report.h"
#include "greenroom/actors/hubs/placement.h"
#include "greenroom/actors/run/ending.h"
#include "greenroom/actors/verbs/verbs.h"
#include "greenroom/io/poll/signal_watcher.h"
#include "greenroom/mailbox/receive.h"
#include "greenroom/scheduler/fiber/stack.h"
#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/greenlet/sleep.h"
#include "greenroom/scheduler/hub/hub_group.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/sync/event.h"
#include "greenroom/scheduler/trace/report_writer.h"
#include "greenroom/scheduler/watch/dump.h"
#include "greenroom/scheduler/watch/end_guard.h"

namespace greenroom {

namespace {

constexpr std::chrono::milliseconds look_again(2);
constexpr std::chrono::seconds kill_grace(1);
// A hub on another thread kills what it has left by then, and ends; if it does not, an actor keeps
// it to itself.
constexpr std::int64_t own_thread_patience = 2'000'000'000;
constexpr std::int64_t worker_patience = 5'000'000'000;
// A thread that has ended its work still ends its hub, which may have tasks left.
constexpr std::int64_t longest_join = 6'000'000'000;
constexpr int most_hubs = 1024;

// When what is left is killed. Any thread.
class Ending {
 public:
  void begin(std::int64_t deadline) {
    std::int64_t unset = detail::no_deadline;
    deadline_.compare_exchange_strong(unset, deadline);
  }
  void hurry() { deadline_ = 0; }
  std::int64_t deadline() const { return deadline_; }

 private:
  std::atomic<std::int64_t> deadline_{detail::no_deadline};
};

// Ends all tasks of this hub but the calling one and the root: trees from their root, then whatever
// that leaves. Returns how many could not be ended.
std::size_t end_hub(Hub& hub, const Ending& ending, std::size_t survivors) {
  const Uncancellable uncancellable;
  sleep(std::chrono::nanoseconds(1));  // the hub has not seen yet who is on the way here
  while (hub.task_count() > survivors && hub.now() < ending.deadline()) {
    detail::shut_down_all(hub, detail::living_parents_elsewhere(hub));
    if (hub.task_count() <= survivors) break;
    sleep(std::chrono::nanoseconds(look_again));
  }
  const std::int64_t kill_deadline = hub.now() + std::chrono::nanoseconds(kill_grace).count();
  while (hub.task_count() > survivors && hub.now() < kill_deadline) {
    detail::kill_all(hub);
    sleep(std::chrono::nanoseconds(look_again));
  }
  return hub.task_count() > survivors ? hub.task_count() - survivors : 0;
}

void report_left(Hub& hub, std::size_t left) {
  if (left == 0) return;
  detail::write_in_order("greenroom: " + std::to_string(left) +
                         " tasks did not end with run() and are left behind:\n" +
                         detail::dump_hub(hub));
}

// A signal asked for the end. The second of these is thrown into the start of a tree.
struct StopRequested {};
struct StartCancelled {};

void check_run(const RunOptions& options) {
  Hub& hub = Hub::current();
  if (hub.current_task() != &hub.root()) {
    throw std::logic_error(
        "greenroom: run() is for the thread's own stack; in a greenlet, spawn what it would run");
  }
  if (hub.group()) throw std::logic_error("greenroom: run() inside run()");
  if (options.hubs < 1 || options.hubs > most_hubs) {
    throw std::invalid_argument("greenroom: RunOptions::hubs must be from 1 to " +
                                std::to_string(most_hubs));
  }
  if (options.grace.count() < 0)
    throw std::invalid_argument("greenroom: RunOptions::grace is negative");
  detail::check_stack_size("RunOptions::stack_size", options.stack_size);
}

struct Worker {
  std::thread thread;
  std::shared_ptr<std::atomic<bool>> has_ended;
};

// The hubs of a run, and their end.
class Runtime {
 public:
  Runtime(const RunOptions& options, std::shared_ptr<Ending> ending, detail::EndGuard& guard)
      : options_(options),
        ending_(std::move(ending)),
        guard_(guard),
        main_(Hub::current()),
        stack_size_before_(main_.stack_size()) {
    main_.set_stack_size(options.stack_size);
    detail::ActorHub::of(main_);
    group_->add(main_, detail::HubGroup::Role::main);
    detail::list_hub(main_);
    try {
      for (int i = 1; i < options.hubs; ++i) start_worker();
    } catch (...) {
      end();
      throw;
    }
  }
  ~Runtime() { end(); }
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

 private:
  void start_worker() {
    std::promise<void> started;
    std::future<void> is_started = started.get_future();
    auto has_ended = std::make_shared<std::atomic<bool>>(false);
    // It may outlive this.
    auto work = [group = group_, ending = ending_, stop = stop_, has_ended, &started,
                 stack_size = options_.stack_size] {
      Hub* hub = nullptr;
      try {
        hub = &Hub::current();
        hub->set_stack_size(stack_size);
        detail::ActorHub::of(*hub);
        group->add(*hub, detail::HubGroup::Role::worker);
        detail::list_hub(*hub);
        started.set_value();
      } catch (...) {
        started.set_exception(std::current_exception());
        return;
      }
      {
        const Uncancellable until_told;
        stop->wait();
      }
      report_left(*hub, end_hub(*hub, *ending, 1));
      detail::unlist_hub(*hub);
      group->remove(*hub);
      *has_ended = true;
    };
    workers_.push_back({std::thread(std::move(work)), has_ended});
    is_started.get();
  }

  void end() {
    using Role = detail::HubGroup::Role;
    ending_->begin(detail::add_saturated(main_.now(), options_.grace.count()));
    end_own_threads();
    stop_->set();
    report_left(main_, end_hub(main_, *ending_, 1));
    end_workers();
    const Uncancellable uncancellable;
    const std::int64_t joined_at = main_.now();
    while (group_->has_any(Role::own_thread) && is_in_time(joined_at, own_thread_patience)) {
      end_own_threads();  // one of them may have come just now
      sleep(std::chrono::nanoseconds(look_again));
    }
    if (group_->has_any(Role::own_thread))
      detail::write_in_order(
          "greenroom: an actor on a thread of its own does not end with run()\n");
    detail::unlist_hub(main_);
    group_->remove(main_);
    main_.set_stack_size(stack_size_before_);
  }

  // So long from when everything is killed.
  bool is_in_time(std::int64_t begun_at, std::int64_t patience) {
    const std::int64_t killed_at = std::max(ending_->deadline(), begun_at);
    return main_.now() < detail::add_saturated(killed_at, patience);
  }

  // One whose thread an actor keeps to itself is left behind: nothing can end it from outside.
  void end_workers() {
    const Uncancellable uncancellable;
    const std::int64_t begun_at = main_.now();
    for (Worker& worker : workers_) {
      while (!*worker.has_ended && is_in_time(begun_at, worker_patience))
        sleep(std::chrono::nanoseconds(look_again));
      if (*worker.has_ended) {
        guard_.excuse_for(longest_join);
        worker.thread.join();
        guard_.excuse_for(0);
        continue;
      }
      detail::write_in_order(
          "greenroom: a hub does not end with run(), as an actor there never gives it up; its "
          "thread is left behind. A loop that does not block needs a yield().\n");
      worker.thread.detach();
    }
  }

  void end_own_threads() {
    group_->post_to_new(detail::HubGroup::Role::own_thread, [ending = ending_](Hub& hub) {
      if (hub.is_ending()) return;
      green::spawn([&hub, ending] { report_left(hub, end_hub(hub, *ending, 2)); });
    });
  }

  const RunOptions& options_;
  const std::shared_ptr<Ending> ending_;  // hubs of threads may outlive this
  detail::EndGuard& guard_;
  Hub& main_;
  const std::size_t stack_size_before_;
  const std::shared_ptr<detail::HubGroup> group_ = detail::HubGroup::make();
  const std::shared_ptr<green::Event> stop_ = std::make_shared<green::Event>();
  std::vector<Worker> workers_;
};

void dump_all_hubs() {
  for (const std::uint32_t port : detail::ports_beside(Hub::current())) {
    detail::post_to_port(port, [](Hub&) { detail::write_in_order(dump()); });
  }
}

// Waits for the first actor's end; asked to stop, ends it.
ExitReason supervise_first(const Monitored& first, std::chrono::nanoseconds grace, bool& is_asked) {
  std::optional<ExitReason> reason;
  Wait wait = Wait::forever();
  bool is_killed = false;
  while (!reason) {
    receive(
        when([&](const Down& down) { return down.ref == first.ref; },
             [&](const Down& down) { reason = down.reason; }),
        // A tree may have ended before it was monitored: the link has told why.
        when([&](const Exit& exit) { return exit.from == first.pid; },
             [&](const Exit& exit) { reason = exit.reason; }),
        when([](const Exit& told) { return told.reason == Reason::killed; },
             [&](const Exit& told) {
               detail::log_line("run() was killed by " + told.from.to_string());
               exit(first.pid, Reason::kill);
             }),
        [&](const StopRequested&) {
          exit(first.pid, is_asked ? Reason::kill : Reason::shutdown);
          if (!is_asked) wait = clock::now() + grace;
          is_asked = true;
        },
        [](Message&) {}, after(is_killed ? Wait::forever() : wait, [&] {
          exit(first.pid, Reason::kill);
          is_killed = true;
        }));
  }
  return *reason;
}

// The calling actor, for a while.
struct TrappingExits {
  TrappingExits() : did_before(trap_exits(true)) {}
  ~TrappingExits() { trap_exits(did_before); }
  TrappingExits(const TrappingExits&) = delete;
  TrappingExits& operator=(const TrappingExits&) = delete;
  const bool did_before;
};

bool is_failure(const ExitReason& reason, bool is_asked) {
  if (is_asked && (reason == Reason::killed || reason.is_quiet())) return false;
  return !reason.is_quiet() || reason.has_detail();
}

}  // namespace

int detail::run_first(const RunOptions& options, const std::function<Monitored()>& first,
                      const std::shared_ptr<int>& code, WaitFor wait_for) {
  check_run(options);
  Hub& hub = Hub::current();
  const Pid root = self();
  const TrappingExits root_traps_exits;
  const auto ending = std::make_shared<Ending>();
  bool is_asked = false;
  bool has_failed = false;
  {
    int signals = 0;
    bool is_starting = true;
    const auto ask = [&, root] {
      if (std::exchange(is_starting, false))
        detail::throw_into(hub.root(), std::make_exception_ptr(StartCancelled()));
      if (++signals == 1) {
        ending->begin(add_saturated(hub.now(), options.grace.count()));
      } else {
        ending->hurry();
      }
      send(root, StopRequested{});
    };
    const auto reference = wait_for == WaitFor::signals ? SignalWatcher::Reference::hold
                                                        : SignalWatcher::Reference::none;
    // They outlive what the runtime ends: a second signal shortens that. The guard sees to it that
    // it ends, if this hub does not get to it.
    EndGuard guard(hub, options.grace.count());
    const SignalWatcher interrupt(SIGINT, ask, reference, &note_end_signal);
    const SignalWatcher terminate(SIGTERM, ask, reference, &note_end_signal);
    std::optional<SignalWatcher> quit;
    if (options.dump_on_quit || std::getenv("GREENROOM_DUMP"))
      quit.emplace(SIGQUIT, &dump_all_hubs);
    const Runtime runtime(options, ending, guard);
    std::optional<Monitored> started;
    try {
      try {
        started = first();
        is_starting = false;
        detail::throw_pending();
      } catch (const StartCancelled&) {  // asked for by message as well
        is_starting = false;
      }
      if (started) {
        const ExitReason reason = supervise_first(*started, options.grace, is_asked);
        has_failed = is_failure(reason, is_asked);
      }
    } catch (const StartError& error) {
      has_failed = true;
      detail::write_in_order("greenroom: the tree did not start: " + std::string(error.what()) +
                             "\n");
    } catch (const green::LoopExit& error) {
      has_failed = true;
      detail::write_in_order("greenroom: " + std::string(error.what()));
      if (started) exit(started->pid, Reason::kill);
    }
  }
  detail::finish_crash_reports();
  // Of signals that came late: they are not for another run().
  while (receive([](const StopRequested&) { return true; },
                 after(Wait(std::chrono::nanoseconds(0)), [] { return false; }))) {
  }
  return has_failed ? 1 : *code;
}

int run(ChildSpec tree) { return run(RunOptions(), std::move(tree)); }

int run(RunOptions options, ChildSpec tree) {
  detail::check_tree(tree);
  return detail::run_first(
      options,
      [&] {
        const Pid pid = tree.start(tree.options);
        return Monitored{pid, monitor(pid)};
      },
      std::make_shared<int>(0), detail::WaitFor::signals);
}

}  // namespace greenroom
