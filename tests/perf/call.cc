// A request and its reply, with the default deadline: alone, beside a million armed timers, and
// with a million messages waiting in the caller's mailbox.
#include <cstdint>
#include <deque>
#include <random>

#include "greenroom/actors/actors.h"
#include "greenroom/tests/perf/measure.h"
#include "greenroom/tests/perf/raw_switch.h"

namespace greenroom::perf {
namespace {

constexpr std::int64_t calls = 200'000;
constexpr int many = 1'000'000;

struct Add {
  std::int64_t value;
};
struct Counter {
  std::int64_t sum = 0;
  std::int64_t handle(const Add& add) { return sum += add.value; }
};
struct Junk {
  std::int64_t value;
};

double call_again_and_again(ServerRef<Counter> counter) {
  const std::int64_t before = call(counter, Add{0});
  std::int64_t sum = 0;
  const Stopwatch stopwatch;
  for (std::int64_t i = 0; i < calls; ++i) sum = call(counter, Add{1});
  const double elapsed = stopwatch.elapsed();
  check(sum == before + calls, "a reply is wrong");
  return elapsed / calls;
}

// From an hour to a day, so that none fires.
void arm_many(std::deque<Timeout>& timeouts) {
  std::mt19937_64 random(1);
  std::uniform_int_distribution<std::int64_t> seconds(3600, 86'400);
  for (int i = 0; i < many; ++i) timeouts.emplace_back(std::chrono::seconds(seconds(random)));
}

void measure_all() {
  const auto counter = start<Counter>();
  RawSwitches raw(2);
  auto two_switches = [&] { return 2 * raw.run(calls); };
  auto measure_case = [&](const char* name) {
    measure(
        {.name = name, .baseline = "2 raw switches", .goal = 60},
        [=] { return call_again_and_again(counter); }, two_switches);
  };
  measure_case("call");
  {
    std::deque<Timeout> timeouts;
    arm_many(timeouts);
    measure_case("call, 1 M other timers armed");
  }
  for (int i = 0; i < many; ++i) send(self(), Junk{i});
  measure_case("call, 1 M messages in the caller's mailbox");
  check(process_info(self()).mailbox_size == many, "the backlog is not there");
}

}  // namespace
}  // namespace greenroom::perf

int main() {
  greenroom::perf::pin_to_one_processor();
  return greenroom::run(greenroom::perf::measure_all);
}
