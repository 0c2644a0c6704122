// The driver of a simulation. It runs on the thread's own stack; the hubs are bound to the thread
// only while one of them runs a slice, so nothing here sees a current hub.
#include <cassert>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/crash_report.h"
#include "greenroom/actors/hubs/placement.h"
#include "greenroom/actors/run/ending.h"
#include "greenroom/scheduler/system/crossing.h"
#include "greenroom/scheduler/watch/dump.h"
#include "greenroom/testkit/abort_note.h"
#include "greenroom/testkit/ending.h"
#include "greenroom/testkit/first_actor.h"
#include "greenroom/testkit/simulation/environment.h"
#include "greenroom/testkit/simulation/simulated_network.h"
#include "greenroom/testkit/testkit.h"

// GoogleTest, if the program has it: whether a check has failed so far.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern bool greenroom_has_fatal_failure() __asm__("_ZN7testing4Test15HasFatalFailureEv")
    __attribute__((weak));
extern bool greenroom_has_nonfatal_failure() __asm__("_ZN7testing4Test18HasNonfatalFailureEv")
    __attribute__((weak));

namespace greenroom::testkit {

namespace {

using detail::SeededEnvironment;
using greenroom::detail::ActorHub;
using greenroom::detail::no_deadline;
using greenroom::detail::Task;
using greenroom::detail::TaskState;

constexpr std::int64_t shutdown_grace = 1'000'000'000;
constexpr std::int64_t kill_grace = 1'000'000'000;
constexpr std::uint64_t steps_to_end = 1'000'000;

bool has_failed_check() {
  return (greenroom_has_fatal_failure && greenroom_has_fatal_failure()) ||
         (greenroom_has_nonfatal_failure && greenroom_has_nonfatal_failure());
}

std::uint64_t seed_of(const Simulation& simulation) {
  const char* text = std::getenv("GREENROOM_SEED");
  if (!text || *text == '\0') return simulation.seed;
  char* end = nullptr;
  errno = 0;
  const std::uint64_t seed = std::strtoull(text, &end, 0);
  if (*end != '\0' || errno != 0 || *text == '-') {
    throw std::invalid_argument(std::string("GREENROOM_SEED is '") + text +
                                "'; it must be a number from 0 to 2^64 - 1");
  }
  return seed;
}

class Simulator {
 public:
  explicit Simulator(const Simulation& simulation)
      : environment_(simulation, seed_of(simulation)), max_steps_(simulation.max_steps) {
    if (simulation.hubs > 1) Hub::watch_crossings();
    for (int i = 0; i < simulation.hubs; ++i) {
      hubs_.push_back(std::make_unique<Hub>(environment_));
      greenroom::detail::list_hub(*hubs_.back());
    }
  }
  ~Simulator();
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;

  // Until the body has ended. Throws green::LoopExit and LivelockError.
  void run(detail::FirstActor& body);
  // Ends all tasks; a line for each that does not end, and for what else is left.
  std::vector<std::string> end();
  SimulationReport report() const;

 private:
  enum class Progress { stepped, nothing_ready };

  // One slice of a hub that has something to do now, or one arrival in the network.
  Progress step();
  void find_ready_hubs(const Hub* but);
  void kill_parked_victim();
  // Throws it here if the body cannot be thrown into.
  void throw_into_body(const green::LoopExit& error);
  // Until nobody has anything to do at this time; false: that does not come.
  bool settle();
  // The time of the next event of any hub, or of the network.
  std::int64_t next_event();
  template <class F>
  void on_all(F f);
  // Repeats `tell` on all hubs until no task is left; false if some are when the grace is over.
  bool end_tasks(void (*tell)(Hub&), std::int64_t grace);
  std::size_t task_count() const;
  bool is_any_in_the_middle() const;
  std::string dump();

  SeededEnvironment environment_;
  std::vector<std::unique_ptr<Hub>> hubs_;
  std::vector<Hub*> ready_hubs_;
  Pid body_;
  std::uint64_t steps_ = 0;
  const std::uint64_t max_steps_;
  std::int64_t ended_at_ = SeededEnvironment::start_time;
};

Simulator::~Simulator() {
  environment_.observe(nullptr, false);
  const bool is_stuck = task_count() > 0 || is_any_in_the_middle();
  for (std::unique_ptr<Hub>& hub : hubs_) greenroom::detail::unlist_hub(*hub);
  // The stacks of tasks that did not end are left as they are, and so is what they stand on.
  if (is_stuck) {
    for (std::unique_ptr<Hub>& hub : hubs_) static_cast<void>(hub.release());
  }
}

std::int64_t Simulator::next_event() {
  std::int64_t next = environment_.network().next_event();
  for (const auto& hub : hubs_) next = std::min(next, hub->next_event());
  return next;
}

Simulator::Progress Simulator::step() {
  const bool is_network_due = environment_.network().next_event() <= environment_.now();
  find_ready_hubs(environment_.crossed_hub());
  if (ready_hubs_.empty() && !is_network_due) {
    environment_.release_crossed();
    find_ready_hubs(nullptr);
    if (ready_hubs_.empty()) return Progress::nothing_ready;
  }
  const std::size_t hubs = ready_hubs_.size();
  ++steps_;
  const std::size_t chosen = environment_.pick(hubs + (is_network_due ? 1 : 0));
  if (chosen == hubs) {
    environment_.network().step();
    return Progress::stepped;
  }
  ready_hubs_[chosen]->run_slice();
  kill_parked_victim();
  return Progress::stepped;
}

void Simulator::find_ready_hubs(const Hub* but) {
  ready_hubs_.clear();
  for (const auto& hub : hubs_) {
    if (hub.get() != but && hub->next_event() <= environment_.now())
      ready_hubs_.push_back(hub.get());
  }
}

// Its hub is not bound here, so the kill is hub work, before anything else there.
void Simulator::kill_parked_victim() {
  greenroom::detail::Task* victim = environment_.take_parked_victim();
  if (!victim) return;
  victim->hub->post([victim] {
    detail::kill(*victim);
    drop_reference(*victim);
  });
  environment_.deliver_all_once();
  victim->hub->run_slice();
}

void Simulator::run(detail::FirstActor& body) {
  Hub& first = *hubs_.front();
  first.post([&] {
    body_ = body.start();
    environment_.observe(ActorHub::of(first).pids.find(body_.number)->task, true);
  });
  const auto is_alive = [&] {
    return !body_ || ActorHub::of(first).pids.find(body_.number) != nullptr;
  };
  while (is_alive()) {
    if (steps_ >= max_steps_) {
      throw LivelockError("livelock: the simulation has not ended after " + std::to_string(steps_) +
                          " steps, and the virtual clock has moved by " +
                          std::to_string(environment_.now() - SeededEnvironment::start_time) +
                          " ns\n" + dump());
    }
    if (step() == Progress::stepped) continue;
    const std::int64_t next = next_event();
    if (next == no_deadline) {
      throw_into_body(green::LoopExit(
          "the simulation would block for ever: nothing is ready, armed or under way\n" + dump()));
    } else {
      environment_.advance_to(next);
    }
  }
  ended_at_ = environment_.now();
}

// As hub work, on the body's hub.
void Simulator::throw_into_body(const green::LoopExit& error) {
  Hub& first = *hubs_.front();
  bool is_delivered = false;
  bool is_thrown = false;
  first.post([&] {
    is_delivered = true;
    Task& body = *ActorHub::of(first).pids.find(body_.number)->task;
    if (body.state != TaskState::parked || !greenroom::detail::can_throw_into(body)) return;
    greenroom::detail::throw_into(body, std::make_exception_ptr(error));
    is_thrown = body.state != TaskState::parked;
  });
  while (!is_delivered) step();
  if (!is_thrown) throw error;
}

std::size_t Simulator::task_count() const {
  std::size_t count = 0;
  for (const auto& hub : hubs_) count += hub->task_count();
  return count;
}

bool Simulator::is_any_in_the_middle() const {
  return std::any_of(hubs_.begin(), hubs_.end(),
                     [](const auto& hub) { return hub->is_in_the_middle(); });
}

std::string Simulator::dump() {
  std::string text;
  for (const auto& hub : hubs_) {
    text += "hub " + std::to_string(hub->id()) + ":\n";
    text += hub->is_in_the_middle() ? "in the middle of a slice, at a crossing\n"
                                    : greenroom::detail::dump_hub(*hub);
  }
  return text;
}

template <class F>
void Simulator::on_all(F f) {
  for (const auto& hub : hubs_) hub->post([f, &hub = *hub] { f(hub); });
}

bool Simulator::settle() {
  for (std::uint64_t n = 0; n < steps_to_end; ++n) {
    if (step() == Progress::nothing_ready) return true;
  }
  return false;
}

bool Simulator::end_tasks(void (*tell)(Hub&), std::int64_t grace) {
  const std::int64_t deadline = environment_.now() + grace;
  std::size_t before = 0;
  for (;;) {
    before = task_count();
    on_all(tell);
    if (!settle()) return false;
    if (task_count() == 0) return true;
    if (task_count() < before) continue;
    const std::int64_t next = next_event();
    if (next > deadline) return false;
    environment_.advance_to(next);
  }
}

std::vector<std::string> Simulator::end() {
  const std::uint64_t steps = steps_;
  const int points = environment_.points();
  environment_.observe(nullptr, false);
  if (!end_tasks(&greenroom::detail::shut_down_all, shutdown_grace))
    end_tasks(&greenroom::detail::kill_all, kill_grace);
  assert(points == environment_.points());
  greenroom::detail::tell_left_out();
  steps_ = steps;
  std::vector<std::string> leaks;
  for (const auto& hub : hubs_) {
    for (std::string& leak : detail::leaks_of(*hub)) leaks.push_back(std::move(leak));
  }
  for (std::string& leak : environment_.network().open_sockets()) leaks.push_back(std::move(leak));
  return leaks;
}

SimulationReport Simulator::report() const {
  return {.steps = steps_,
          .suspension_points = environment_.points(),
          .trace = environment_.trace(),
          .virtual_time = std::chrono::nanoseconds(ended_at_ - SeededEnvironment::start_time),
          .victim = environment_.victim(),
          .crossings = environment_.crossings(),
          .crossed = environment_.crossed()};
}

// What a failure is told with; the victim is not known if the simulation did not come to its end.
std::string how_to_replay(const Simulation& simulation,
                          const std::optional<std::string>& victim = std::nullopt) {
  std::string text = "greenroom: this simulation has failed; GREENROOM_SEED=" +
                     std::to_string(seed_of(simulation)) + " runs it again";
  if (simulation.kill_at >= 0) {
    text += ", with .kill_at = " + std::to_string(simulation.kill_at);
    text += simulation.kill_moment == KillMoment::parking ? " (parking)" : " (resuming)";
    if (victim) text += victim->empty() ? ", where nobody was killed" : ": " + *victim;
  }
  if (simulation.cross_at >= 0) text += ", with .cross_at = " + std::to_string(simulation.cross_at);
  return text + "\n";
}

void print_seed(const Simulation& simulation, const std::string& victim) {
  std::fputs(how_to_replay(simulation, victim).c_str(), stderr);
}

}  // namespace

SimulationReport simulate(Simulation simulation, std::function<void()> body) {
  if (simulation.hubs < 1)
    throw std::invalid_argument("simulate: Simulation::hubs must be at least 1");
  if (const Hub* hub = Hub::current_if_any()) {
    if (hub->environment() || hub->current_task() != &const_cast<Hub*>(hub)->root())
      throw std::logic_error("simulate: call it from a thread's own stack, not inside an actor");
  }
  const bool had_failed = has_failed_check();
  const detail::OpenDescriptors descriptors;
  detail::FirstActor first(std::move(body));
  SimulationReport report;
  std::vector<std::string> leaks;
  try {
    {
      const detail::AbortNote if_it_aborts(how_to_replay(simulation));
      Simulator simulator(simulation);
      std::exception_ptr stuck;
      try {
        simulator.run(first);
      } catch (...) {
        stuck = std::current_exception();
      }
      leaks = simulator.end();
      report = simulator.report();
      if (stuck) std::rethrow_exception(stuck);
    }
    first.rethrow();
    for (std::string& leak : descriptors.leaks()) leaks.push_back(std::move(leak));
    detail::throw_leaks(leaks);
  } catch (...) {
    print_seed(simulation, report.victim);
    throw;
  }
  if (!had_failed && has_failed_check()) print_seed(simulation, report.victim);
  return report;
}

int suspension_points(Simulation simulation, const std::function<void()>& body) {
  simulation.kill_at = -1;
  return simulate(simulation, body).suspension_points;
}

int kill_everywhere(Simulation simulation, const std::function<void()>& body) {
  const int points = suspension_points(simulation, body);
  int kills = 0;
  for (simulation.kill_at = 0; simulation.kill_at < points; ++simulation.kill_at) {
    for (const KillMoment moment : {KillMoment::parking, KillMoment::resuming}) {
      simulation.kill_moment = moment;
      if (!simulate(simulation, body).victim.empty()) ++kills;
    }
  }
  return kills;
}

int cross_everywhere(Simulation simulation, const std::function<void()>& body) {
  if (simulation.hubs < 2)
    throw std::invalid_argument(
        "cross_everywhere: one hub has nobody to cross with; Simulation::hubs must be at least 2");
  simulation.cross_at = std::numeric_limits<int>::max();  // counts them
  const int crossings = simulate(simulation, body).crossings;
  int crossed = 0;
  for (simulation.cross_at = 0; simulation.cross_at < crossings; ++simulation.cross_at)
    crossed += simulate(simulation, body).crossed;
  return crossed;
}

YieldAtCrossings::YieldAtCrossings(int one_in) {
  if (one_in < 1) throw std::invalid_argument("YieldAtCrossings: one in less than 1");
  greenroom::detail::yields_at_crossings = static_cast<unsigned>(one_in);
  Hub::watch_crossings();
}

YieldAtCrossings::~YieldAtCrossings() { greenroom::detail::yields_at_crossings = 0; }

}  // namespace greenroom::testkit
