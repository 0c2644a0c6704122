// What a yield costs: between two greenlets, and around a thousand.
#include <cstdint>
#include <string>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/tests/perf/measure.h"
#include "greenroom/tests/perf/raw_switch.h"

namespace greenroom::perf {
namespace {

constexpr std::int64_t switches = 1'000'000;

double yields(std::int64_t greenlets) {
  const std::int64_t each = switches / greenlets;
  std::int64_t done = 0;
  std::vector<green::Greenlet<>> all;
  for (std::int64_t i = 0; i < greenlets; ++i) {
    all.push_back(green::spawn([each, &done] {
      for (std::int64_t n = 0; n < each; ++n) {
        yield();
        ++done;
      }
    }));
  }
  const Stopwatch stopwatch;
  green::joinall(all);
  const double elapsed = stopwatch.elapsed();
  check(done == each * greenlets, "not every yield came back");
  return elapsed / static_cast<double>(done);
}

void measure_ring(std::int64_t count, double goal_ratio) {
  RawSwitches raw(static_cast<std::size_t>(count));
  measure(
      {.name = "yield of " + std::to_string(count) + " greenlets",
       .baseline = "raw switch",
       .goal_ratio = goal_ratio},
      [=] { return yields(count); }, [&] { return raw.run(switches / count); });
}

}  // namespace
}  // namespace greenroom::perf

int main() {
  greenroom::perf::pin_to_one_processor();
  greenroom::perf::measure_ring(2, 3);
  greenroom::perf::measure_ring(1000, 4);
}
