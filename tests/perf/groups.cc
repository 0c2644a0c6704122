// What a greenlet costs in a group, and an item in a map: beside the bare work, and beside gevent.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/tests/perf/measure.h"

namespace greenroom::perf {
namespace {

constexpr int batch = 100;
constexpr std::int64_t total = 100'000;

std::vector<int> items() {
  std::vector<int> numbers(batch);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// Nanoseconds each of `total`; run_batch() says how many it has done.
template <class RunBatch>
double in_batches(RunBatch run_batch) {
  std::int64_t done = 0;
  const Stopwatch stopwatch;
  while (done < total) {
    const int now = run_batch();
    check(now == batch, "a batch was not done");
    done += now;
  }
  return stopwatch.elapsed() / total;
}

double spawns_in_a_group() {
  green::Group group;
  return in_batches([&] {
    int ended = 0;
    for (int i = 0; i < batch; ++i) group.spawn([&] { ++ended; });
    group.join();
    return ended;
  });
}

int next_of(int number) { return number + 1; }

int checked(const std::vector<int>& results) {
  check(results.back() == batch, "a wrong result");
  return static_cast<int>(results.size());
}

double maps_in_a_pool() {
  green::Pool pool(10);
  const std::vector<int> numbers = items();
  return in_batches([&] { return checked(pool.map(next_of, numbers)); });
}

double imaps_in_a_pool() {
  green::Pool pool(10);
  const std::vector<int> numbers = items();
  return in_batches([&] {
    std::vector<int> results;
    for (const int result : pool.imap(next_of, numbers)) results.push_back(result);
    return checked(results);
  });
}

double unordered_imaps_in_a_pool() {
  green::Pool pool(10);
  const std::vector<int> numbers = items();
  return in_batches([&] {
    int count = 0;
    for (const int result : pool.imap_unordered(next_of, numbers)) count += result > 0 ? 1 : 0;
    return count;
  });
}

struct Work {
  virtual ~Work() = default;
  virtual int run() = 0;
};
struct Next final : Work {
  explicit Next(int of) : number(of) {}
  int run() override { return number + 1; }
  int number;
};

double bare_works() {
  const std::vector<int> numbers = items();
  return in_batches([&] {
    std::vector<std::unique_ptr<Work>> works;
    works.reserve(batch);
    for (const int number : numbers) works.push_back(std::make_unique<Next>(number));
    std::vector<int> results;
    results.reserve(batch);
    for (const auto& work : works) results.push_back(work->run());
    return checked(results);
  });
}

// Nanoseconds that gevent takes for each of 100 in run_batch(), which is Python.
double of_gevent(const std::string& run_batch) {
  const std::string program = R"(
import gevent, gevent.pool, time
group, pool, items = gevent.pool.Group(), gevent.pool.Pool(10), range(100)
def next_of(n): return n + 1
def run_batch():
)" + run_batch + R"(
run_batch()
start = time.perf_counter()
for _ in range(50): assert run_batch() == 100
print((time.perf_counter() - start) * 1e9 / 5000)
)";
  std::FILE* const python = ::popen(("/usr/bin/python3 -c '" + program + "'").c_str(), "re");
  check(python != nullptr, "python3 does not start");
  double nanoseconds = 0;
  const bool is_read = std::fscanf(python, "%lf", &nanoseconds) == 1;
  check(::pclose(python) == 0 && is_read, "gevent has not run: is python3-gevent installed?");
  return nanoseconds;
}

constexpr const char* gevent_spawns = R"(
    done = []
    for i in items: group.spawn(done.append, i)
    group.join()
    return len(done))";
constexpr const char* gevent_map = "    return len(pool.map(next_of, items))";
constexpr const char* gevent_imap = "    return len(list(pool.imap(next_of, items)))";
constexpr const char* gevent_unordered =
    "    return len(list(pool.imap_unordered(next_of, items)))";

void measure_both(const std::string& name, double (*ours)(), const char* on_gevent) {
  measure({.name = name, .baseline = "new, virtual call, delete"}, ours, bare_works);
  measure({.name = name, .baseline = "gevent", .goal_ratio = 1.0 / 20, .rounds = 3}, ours,
          [=] { return of_gevent(on_gevent); });
}

}  // namespace
}  // namespace greenroom::perf

int main() {
  using namespace greenroom::perf;
  pin_to_one_processor();
  measure_both("greenlet in a group, spawned and joined", spawns_in_a_group, gevent_spawns);
  measure_both("item of a map, in a pool of 10", maps_in_a_pool, gevent_map);
  measure_both("item of an imap, in a pool of 10", imaps_in_a_pool, gevent_imap);
  measure_both("item of an imap_unordered, in a pool of 10", unordered_imaps_in_a_pool,
               gevent_unordered);
}
