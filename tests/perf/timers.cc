// Arming a timeout and cancelling it, beside a million others.
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/time/timer_wheel.h"
#include "greenroom/tests/perf/measure.h"

namespace greenroom::perf {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t armed = 1'000'000;
constexpr std::size_t operations = 500'000;
constexpr nanoseconds far = std::chrono::seconds(5);

// What is re-armed in each operation, and for how long: the same for ours and the baselines.
struct Plan {
  std::vector<std::uint32_t> slots;
  std::vector<nanoseconds> durations;
  std::vector<nanoseconds> initial;
};

// From a minute to an hour: none fires while this runs.
Plan make_plan() {
  std::mt19937_64 random(1);
  std::uniform_int_distribution<std::uint32_t> slot(0, armed - 1);
  std::uniform_int_distribution<std::int64_t> duration(60'000'000'000, 3'600'000'000'000);
  Plan plan;
  for (std::size_t i = 0; i < armed; ++i) plan.initial.emplace_back(duration(random));
  for (std::size_t i = 0; i < operations; ++i) {
    plan.slots.push_back(slot(random));
    plan.durations.emplace_back(duration(random));
  }
  return plan;
}

class Ours {
 public:
  explicit Ours(const Plan& plan) : timeouts_(armed) {
    for (std::size_t i = 0; i < armed; ++i) timeouts_[i].emplace(plan.initial[i]);
  }
  double arm_and_cancel() {
    const std::size_t before = green::get_hub().timers().size();
    const Stopwatch stopwatch;
    for (std::size_t i = 0; i < operations; ++i) {
      Timeout timeout(far);
      keep(timeout);
    }
    const double elapsed = stopwatch.elapsed();
    check(before == armed && green::get_hub().timers().size() == armed, "timers are missing");
    return elapsed / operations;
  }
  double rearm(const Plan& plan) {
    const Stopwatch stopwatch;
    for (std::size_t i = 0; i < operations; ++i) {
      std::optional<Timeout>& timeout = timeouts_[plan.slots[i]];
      timeout.reset();
      timeout.emplace(plan.durations[i]);
    }
    const double elapsed = stopwatch.elapsed();
    check(green::get_hub().timers().size() == armed, "timers are missing");
    return elapsed / operations;
  }

 private:
  std::vector<std::optional<Timeout>> timeouts_;
};

// The wheel alone: no clock is read, no scope is kept.
class Wheel {
 public:
  explicit Wheel(const Plan& plan) : wheel_(0), nodes_(armed) {
    for (std::size_t i = 0; i < armed; ++i) arm(nodes_[i], plan.initial[i]);
  }
  double arm_and_cancel() {
    detail::TimerNode node;
    const Stopwatch stopwatch;
    for (std::size_t i = 0; i < operations; ++i) {
      arm(node, far);
      keep(node);
      wheel_.cancel(node);
    }
    return stopwatch.elapsed() / operations;
  }
  double rearm(const Plan& plan) {
    const Stopwatch stopwatch;
    for (std::size_t i = 0; i < operations; ++i) {
      detail::TimerNode& node = nodes_[plan.slots[i]];
      wheel_.cancel(node);
      arm(node, plan.durations[i]);
    }
    return stopwatch.elapsed() / operations;
  }

 private:
  void arm(detail::TimerNode& node, nanoseconds duration) {
    node.fire = [](detail::TimerNode&) noexcept {};
    wheel_.arm(node, duration.count());
  }
  detail::TimerWheel wheel_;
  std::vector<detail::TimerNode> nodes_;
};

// The standard library's way.
class Tree {
 public:
  explicit Tree(const Plan& plan) {
    for (const nanoseconds duration : plan.initial) where_.push_back(tree_.emplace(duration, 0));
  }
  double arm_and_cancel() {
    const Stopwatch stopwatch;
    for (std::size_t i = 0; i < operations; ++i) tree_.erase(tree_.emplace(far, 0));
    return stopwatch.elapsed() / operations;
  }
  double rearm(const Plan& plan) {
    const Stopwatch stopwatch;
    for (std::size_t i = 0; i < operations; ++i) {
      tree_.erase(where_[plan.slots[i]]);
      where_[plan.slots[i]] = tree_.emplace(plan.durations[i], 0);
    }
    return stopwatch.elapsed() / operations;
  }

 private:
  std::multimap<nanoseconds, int> tree_;
  std::vector<std::multimap<nanoseconds, int>::iterator> where_;
};

template <class Baseline>
void measure_against(Ours& ours, const Plan& plan, const char* name) {
  Baseline baseline(plan);
  measure(
      {.name = "timeout armed and cancelled, 1 M armed", .baseline = name, .goal = 60},
      [&] { return ours.arm_and_cancel(); }, [&] { return baseline.arm_and_cancel(); });
  measure(
      {.name = "timeout re-armed, a random one of 1 M", .baseline = name, .goal = 100},
      [&] { return ours.rearm(plan); }, [&] { return baseline.rearm(plan); });
}

void measure_all() {
  const Plan plan = make_plan();
  Ours ours(plan);
  measure_against<Tree>(ours, plan, "std::multimap");
  measure_against<Wheel>(ours, plan, "the bare wheel");
}

}  // namespace
}  // namespace greenroom::perf

int main() {
  greenroom::perf::pin_to_one_processor();
  greenroom::perf::measure_all();
}
