#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/actors/hubs/placement.h"
#include "greenroom/actors/run/ending.h"
#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/greenlet/sleep.h"
#include "greenroom/scheduler/hub/hub_group.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/sync/event.h"
#include "greenroom/scheduler/watch/dump.h"
#include "greenroom/testkit/ending.h"
#include "greenroom/testkit/first_actor.h"
#include "greenroom/testkit/testkit.h"
#include "greenroom/testkit/watchdog.h"

namespace greenroom::testkit {

namespace {

using greenroom::detail::HubGroup;

constexpr std::chrono::seconds shutdown_grace(1);
constexpr std::chrono::seconds kill_grace(1);
constexpr std::chrono::seconds answer_time(2);

// Tells the hub's tasks to end until at most `survivors` are left; false if they do not in time.
bool end_tasks(Hub& hub, void (*tell)(Hub&), std::size_t survivors,
               std::chrono::nanoseconds grace) {
  const clock::time_point deadline = clock::now() + grace;
  for (int round = 0; hub.task_count() > survivors; ++round) {
    if (clock::now() >= deadline) return false;
    tell(hub);
    round < 16 ? yield() : sleep(std::chrono::milliseconds(1));
  }
  return true;
}

void end_hub(Hub& hub, std::size_t survivors) {
  const Uncancellable uncancellable;
  if (!end_tasks(hub, &greenroom::detail::shut_down_all, survivors, shutdown_grace))
    end_tasks(hub, &greenroom::detail::kill_all, survivors, kill_grace);
}

// The hubs and threads of one run_actors.
class Threads {
 public:
  Threads(const Options& options, std::function<void()> body)
      : options_(options), body_(std::move(body)) {}

  // To its end, on a fresh thread.
  void run();
  // Throws what has gone wrong.
  void rethrow();

 private:
  void run_main();
  void run_worker(std::promise<void>& started);
  void run_body();
  void end_own_threads();
  void check(Hub& hub);
  void dump_and_abort();

  const Options options_;
  detail::FirstActor body_;
  const std::shared_ptr<HubGroup> group_ = HubGroup::make();
  green::Event body_ended_;
  green::Event stop_;
  std::exception_ptr stuck_;
  std::mutex mutex_;  // guards leaks_
  std::vector<std::string> leaks_;
};

void Threads::run() {
  const detail::OpenDescriptors descriptors;
  {
    const detail::Watchdog watchdog(options_.watchdog * (10 / scale(10)),
                                    [this] { dump_and_abort(); });
    std::thread([this] { run_main(); }).join();
  }
  for (std::string& leak : descriptors.leaks()) leaks_.push_back(std::move(leak));
}

void Threads::rethrow() {
  if (stuck_) std::rethrow_exception(stuck_);
  body_.rethrow();
  detail::throw_leaks(leaks_);
}

void Threads::run_main() {
  Hub& hub = Hub::current();
  group_->add(hub, HubGroup::Role::main);
  greenroom::detail::list_hub(hub);
  std::vector<std::thread> workers;
  for (int i = 1; i < options_.hubs; ++i) {
    std::promise<void> started;
    workers.emplace_back([this, &started] { run_worker(started); });
    started.get_future().wait();
  }
  run_body();
  end_own_threads();
  stop_.set();
  end_hub(hub, 1);
  for (std::thread& worker : workers) worker.join();
  const std::int64_t grace = std::chrono::nanoseconds(shutdown_grace + kill_grace).count();
  const std::int64_t deadline = greenroom::detail::add_saturated(hub.now(), grace);
  while (group_->has_any(HubGroup::Role::own_thread) && hub.now() < deadline) {
    end_own_threads();  // of latecomers, too
    sleep(std::chrono::milliseconds(1));
  }
  if (group_->has_any(HubGroup::Role::own_thread)) {
    const std::lock_guard lock(mutex_);
    leaks_.push_back("an actor placed on its own thread has not ended");
  }
  check(hub);
  greenroom::detail::unlist_hub(hub);
  group_->remove(hub);
}

void Threads::run_worker(std::promise<void>& started) {
  Hub& hub = Hub::current();
  group_->add(hub, HubGroup::Role::worker);
  greenroom::detail::list_hub(hub);
  started.set_value();
  {
    const Uncancellable until_told;
    stop_.wait();
  }
  sleep(std::chrono::microseconds(1));  // told at once, it has not yet seen who is on the way here
  end_hub(hub, 1);
  check(hub);
  greenroom::detail::unlist_hub(hub);
  group_->remove(hub);
}

// Not by a monitor: the thread's own stack stays a greenlet that is no actor.
void Threads::run_body() {
  body_.start([this] { body_ended_.set(); });
  try {
    body_ended_.wait();
  } catch (const green::LoopExit&) {
    stuck_ = std::current_exception();
  }
}

void Threads::end_own_threads() {
  group_->post_to_new(HubGroup::Role::own_thread, [](Hub& hub) {
    if (hub.is_ending()) return;
    green::spawn([&hub] { end_hub(hub, 2); });  // the thread's own task, and this one
  });
}

void Threads::check(Hub& hub) {
  std::vector<std::string> leaks = detail::leaks_of(hub);
  const std::lock_guard lock(mutex_);
  for (std::string& leak : leaks) leaks_.push_back(std::move(leak));
}

void Threads::dump_and_abort() {
  std::fprintf(stderr, "greenroom: the test has not ended in time; what its hubs do:\n");
  for (const auto role : {HubGroup::Role::main, HubGroup::Role::worker, HubGroup::Role::own_thread})
    group_->post_to_all(role, [](Hub&) { std::fputs(dump().c_str(), stderr); });
  // A hub that says nothing is kept busy by a greenlet that does not come to a suspension point.
  std::this_thread::sleep_for(answer_time);
  std::fputs("greenroom: a hub that is not listed above does not come round\n", stderr);
  std::abort();
}

}  // namespace

void run_actors(std::function<void()> body) { run_actors(Options(), std::move(body)); }

void run_actors(Options options, std::function<void()> body) {
  if (options.hubs < 1) throw std::invalid_argument("run_actors: Options::hubs must be at least 1");
  Threads threads(options, std::move(body));
  threads.run();
  threads.rethrow();
}

}  // namespace greenroom::testkit
