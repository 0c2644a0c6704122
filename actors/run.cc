#include "greenroom/actors/run.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "greenroom/actors/ending.h"
#include "greenroom/actors/placement.h"
#include "greenroom/actors/verbs.h"
#include "greenroom/io/signal_watcher.h"
#include "greenroom/mailbox/receive.h"
#include "greenroom/scheduler/dump.h"
#include "greenroom/scheduler/event.h"
#include "greenroom/scheduler/greenlet.h"
#include "greenroom/scheduler/hub_group.h"
#include "greenroom/scheduler/interrupt.h"
#include "greenroom/scheduler/sleep.h"

namespace greenroom {

namespace {

constexpr std::chrono::milliseconds look_again(2);
constexpr std::chrono::seconds kill_grace(1);

// Ends all tasks of this hub but the calling one and the root: trees from their root, then whatever
// that leaves. Returns how many could not be ended.
std::size_t end_hub(Hub& hub, std::int64_t deadline, std::size_t survivors) {
  const Uncancellable uncancellable;
  while (hub.task_count() > survivors && hub.now() < deadline) {
    detail::shut_down_all(hub);
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
  std::fprintf(stderr, "greenroom: %zu tasks did not end with run() and are left behind:\n%s", left,
               detail::dump_hub(hub).c_str());
}

// A signal asked for the end.
struct StopRequested {};

// The hubs of a run, and their end.
class Runtime {
 public:
  explicit Runtime(const RunOptions& options) : options_(options), main_(Hub::current()) {
    if (main_.current_task() != &main_.root()) {
      throw std::logic_error(
          "greenroom: run() is for the thread's own stack; in a greenlet, spawn what it would run");
    }
    if (main_.group()) throw std::logic_error("greenroom: run() inside run()");
    if (options.hubs < 1)
      throw std::invalid_argument("greenroom: RunOptions::hubs must be at least 1");
    detail::ActorHub::of(main_);
    group_.add(main_, detail::HubGroup::Role::main);
    detail::list_hub(main_);
    for (int i = 1; i < options.hubs; ++i) start_worker();
  }

  ~Runtime() {
    const std::int64_t deadline = detail::add_saturated(main_.now(), options_.grace.count());
    deadline_ = deadline;
    group_.post_to_all(detail::HubGroup::Role::own_thread, [deadline](Hub& hub) {
      if (hub.is_ending()) return;
      green::spawn([&hub, deadline] { report_left(hub, end_hub(hub, deadline, 2)); });
    });
    stop_.set();
    report_left(main_, end_hub(main_, deadline, 1));
    for (std::thread& worker : workers_) worker.join();
    group_.wait_until_none(detail::HubGroup::Role::own_thread,
                           detail::add_saturated(deadline, 2'000'000'000));
    detail::unlist_hub(main_);
    group_.remove(main_);
  }

 private:
  void start_worker() {
    std::promise<void> started;
    std::future<void> is_started = started.get_future();
    workers_.emplace_back([this, &started] {
      Hub& hub = Hub::current();
      detail::ActorHub::of(hub);
      group_.add(hub, detail::HubGroup::Role::worker);
      detail::list_hub(hub);
      started.set_value();
      {
        const Uncancellable until_told;
        stop_.wait();
      }
      report_left(hub, end_hub(hub, deadline_, 1));
      detail::unlist_hub(hub);
      group_.remove(hub);
    });
    is_started.wait();
  }

  const RunOptions& options_;
  Hub& main_;
  detail::HubGroup group_;
  green::Event stop_;
  std::int64_t deadline_ = 0;  // written before stop_ is set
  std::vector<std::thread> workers_;
};

void dump_all_hubs() {
  for (std::uint32_t port = 0; port < detail::Port::limit && detail::Port::at(port); ++port) {
    detail::post_to_port(port, [](Hub&) { std::fputs(dump().c_str(), stderr); });
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

bool is_failure(const ExitReason& reason, bool is_asked) {
  if (is_asked && (reason == Reason::killed || reason.is_quiet())) return false;
  return !reason.is_quiet() || reason.has_detail();
}

}  // namespace

int detail::run_first(const RunOptions& options, const std::function<Monitored()>& first,
                      const std::shared_ptr<int>& code, WaitFor wait_for) {
  const Runtime runtime(options);
  const Pid root = self();
  const bool was_trapping = trap_exits(true);
  const auto ask = [root] { send(root, StopRequested{}); };
  const auto reference = wait_for == WaitFor::signals ? SignalWatcher::Reference::hold
                                                      : SignalWatcher::Reference::none;
  const SignalWatcher interrupt(SIGINT, ask, reference);
  const SignalWatcher terminate(SIGTERM, ask, reference);
  std::optional<SignalWatcher> quit;
  if (options.dump_on_quit || std::getenv("GREENROOM_DUMP")) quit.emplace(SIGQUIT, &dump_all_hubs);
  bool is_asked = false;
  bool has_failed = true;
  std::optional<Monitored> started;
  try {
    started = first();
    const ExitReason reason = supervise_first(*started, options.grace, is_asked);
    has_failed = is_failure(reason, is_asked);
  } catch (const StartError& error) {
    std::fprintf(stderr, "greenroom: the tree did not start: %s\n", error.what());
  } catch (const green::LoopExit& error) {
    std::fprintf(stderr, "greenroom: %s", error.what());
    if (started) exit(started->pid, Reason::kill);
  }
  trap_exits(was_trapping);
  return has_failed ? 1 : *code;
}

int run(ChildSpec tree) { return run(RunOptions(), std::move(tree)); }

int run(RunOptions options, ChildSpec tree) {
  return detail::run_first(
      options,
      [&] {
        const Pid pid = tree.start(tree.options.id);
        return Monitored{pid, monitor(pid)};
      },
      std::make_shared<int>(0), detail::WaitFor::signals);
}

}  // namespace greenroom
