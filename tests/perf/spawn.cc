// What an actor or a greenlet costs from its spawn to its end.
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/tests/perf/measure.h"

namespace greenroom::perf {
namespace {

constexpr int batch = 100;
constexpr std::int64_t total = 200'000;

std::int64_t ended = 0;

// Nanoseconds each of `total`, made by spawn_one() in batches; after_batch() lets a batch end.
template <class SpawnOne, class AfterBatch>
double in_batches(SpawnOne spawn_one, AfterBatch after_batch) {
  ended = 0;
  const Stopwatch stopwatch;
  for (std::int64_t i = 0; i < total; i += batch) {
    for (int n = 0; n < batch; ++n) spawn_one();
    after_batch();
  }
  const double elapsed = stopwatch.elapsed();
  check(ended == total, "not everything that was spawned has ended");
  return elapsed / total;
}

double actors_that_never_park() {
  return in_batches([] { spawn([] { ++ended; }); }, [] { yield(); });
}

double greenlets_that_never_park() {
  return in_batches([] { green::spawn([] { ++ended; }); }, [] { yield(); });
}

double actors_one_by_one() {
  return in_batches(
      [] {
        spawn([] { ++ended; });
        yield();
      },
      [] {});
}

// All of a batch park in the event, then all end.
template <class SpawnOne>
double parking_once(SpawnOne spawn_one) {
  green::Event event;
  return in_batches([&] { spawn_one(event); },
                    [&] {
                      yield();
                      event.set();
                      yield();
                      event.clear();
                    });
}

double actors_that_park_once() {
  return parking_once([](green::Event& event) {
    spawn([&event] {
      event.wait();
      ++ended;
    });
  });
}

double greenlets_that_park_once() {
  return parking_once([](green::Event& event) {
    green::spawn([&event] {
      event.wait();
      ++ended;
    });
  });
}

struct Go {};

double actors_that_receive_once() {
  std::vector<Pid> pids;
  pids.reserve(batch);
  return in_batches(
      [&] {
        pids.push_back(spawn([] {
          receive([](Go) {});
          ++ended;
        }));
      },
      [&] {
        yield();
        for (const Pid pid : pids) send(pid, Go{});
        pids.clear();
        yield();
      });
}

struct Work {
  virtual ~Work() = default;
  virtual void run() = 0;
};
struct Count final : Work {
  void run() override { ++ended; }
};

double new_call_delete() {
  std::vector<std::unique_ptr<Work>> works;
  works.reserve(batch);
  return in_batches([&] { works.push_back(std::make_unique<Count>()); },
                    [&] {
                      for (auto& work : works) work->run();
                      works.clear();
                    });
}

double threads() {
  constexpr int count = 2000;
  const Stopwatch stopwatch(Stopwatch::Counts::everything);
  for (int i = 0; i < count; ++i) std::thread([] { ++ended; }).join();
  return stopwatch.elapsed() / count;
}

constexpr std::size_t million = 1'000'000;

// Nanoseconds each of the first million in a process: until all have parked, and until all have
// ended.
Results first_million() {
  return in_new_process([] {
    std::int64_t count = 0;
    const Stopwatch stopwatch;
    green::Event event;
    for (std::size_t i = 0; i < million; ++i) {
      spawn([&] {
        event.wait();
        ++count;
      });
    }
    yield();
    const double parked = stopwatch.elapsed();
    event.set();
    yield();
    const double finished = stopwatch.elapsed();
    check(count == million, "not all of the million have ended");
    return Results{parked / million, finished / million};
  });
}

// A page touched for each of a million stacks.
double first_touches() {
  return in_new_process([] {
    constexpr std::size_t stack = std::size_t{64} << 10;
    const Stopwatch stopwatch;
    auto* memory =
        static_cast<volatile char*>(mmap(nullptr, million * stack, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    check(memory != MAP_FAILED, "no address space for a million stacks");
    for (std::size_t i = 0; i < million; ++i) memory[i * stack] = 1;
    return Results{stopwatch.elapsed() / million};
  })[0];
}

void measure_warm() {
  const std::string raw = "new, virtual call, delete";
  measure({.name = "actor, spawned and finished", .baseline = raw, .goal = 30},
          actors_that_never_park, new_call_delete);
  measure({.name = "greenlet, spawned and finished", .baseline = raw, .goal = 30},
          greenlets_that_never_park, new_call_delete);
  measure({.name = "actor, spawned and waited for one by one", .baseline = raw}, actors_one_by_one,
          new_call_delete);
  measure({.name = "actor, spawned, parked and finished", .baseline = raw, .goal = 100},
          actors_that_park_once, new_call_delete);
  measure({.name = "greenlet, spawned, parked and finished", .baseline = raw, .goal = 100},
          greenlets_that_park_once, new_call_delete);
  measure({.name = "actor, spawned, sent a message and finished", .baseline = "std::thread"},
          actors_that_receive_once, threads);
}

}  // namespace
}  // namespace greenroom::perf

int main() {
  using namespace greenroom::perf;
  pin_to_one_processor();
  // Before this process has a hub.
  double until_parked = std::numeric_limits<double>::max();
  measure(
      {.name = "actor, one of the first million, spawned, parked and finished",
       .baseline = "first touch of a page",
       .goal = 3000,
       .baseline_is_floor = true,
       .rounds = 2},
      [&] {
        const Results results = first_million();
        until_parked = std::min(until_parked, results[0]);
        return results[1];
      },
      first_touches);
  std::printf("  until all have parked: min %.0f ns\n", until_parked);
  return greenroom::run(measure_warm);
}
