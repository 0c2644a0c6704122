// What an item costs from greenlet to greenlet, through each kind of queue.
#include "greenroom/mailbox/queue.h"

#include <cstdint>
#include <deque>
#include <string>

#include "greenroom/scheduler/green.h"
#include "greenroom/tests/perf/measure.h"

namespace greenroom::perf {
namespace {

constexpr std::int64_t items = 300'000;

// Nanoseconds per item when one greenlet puts all of them and another one gets them.
template <class Put, class Get>
double between_two(Put put, Get get) {
  std::int64_t sum = 0;
  const auto getter = green::spawn([&] {
    for (std::int64_t i = 0; i < items; ++i) sum += get();
  });
  const auto putter = green::spawn([&] {
    for (std::int64_t i = 0; i < items; ++i) put(i);
  });
  const Stopwatch stopwatch;
  green::joinall({getter, putter});
  const double elapsed = stopwatch.elapsed();
  check(sum == items * (items - 1) / 2, "not every item came out");
  return elapsed / static_cast<double>(items);
}

template <class Queue>
double through(Queue& queue) {
  return between_two([&](std::int64_t item) { queue.put(item); }, [&] { return queue.get(); });
}

// One item after another, each of which the getter waits for.
double one_by_one() {
  green::Queue<std::int64_t> queue;
  return between_two(
      [&](std::int64_t item) {
        queue.put(item);
        yield();
      },
      [&] { return queue.get(); });
}

double unbounded() {
  green::Queue<std::int64_t> queue;
  return through(queue);
}

double bounded(std::size_t max_size) {
  green::Queue<std::int64_t> queue({.max_size = max_size});
  return through(queue);
}

double channel() {
  green::Channel<std::int64_t> queue;
  return through(queue);
}

double alone() {
  green::Queue<std::int64_t> queue;
  std::int64_t sum = 0;
  const Stopwatch stopwatch;
  for (std::int64_t i = 0; i < items; ++i) {
    queue.put(i);
    sum += queue.get();
  }
  const double elapsed = stopwatch.elapsed();
  check(sum == items * (items - 1) / 2, "not every item came out");
  return elapsed / static_cast<double>(items);
}

double deque_and_yields() {
  std::deque<std::int64_t> queue;
  return between_two(
      [&](std::int64_t item) {
        queue.push_back(item);
        keep(queue);
        yield();
      },
      [&] {
        while (queue.empty()) yield();
        keep(queue);
        const std::int64_t item = queue.front();
        queue.pop_front();
        return item;
      });
}

double deque_alone() {
  std::deque<std::int64_t> queue;
  std::int64_t sum = 0;
  const Stopwatch stopwatch;
  for (std::int64_t i = 0; i < items; ++i) {
    queue.push_back(i);
    keep(queue);
    sum += queue.front();
    queue.pop_front();
    keep(queue);
  }
  const double elapsed = stopwatch.elapsed();
  check(sum == items * (items - 1) / 2, "not every item came out");
  return elapsed / static_cast<double>(items);
}

}  // namespace
}  // namespace greenroom::perf

int main() {
  using namespace greenroom::perf;
  pin_to_one_processor();
  measure({.name = "put and get by one greenlet", .baseline = "std::deque"}, alone, deque_alone);
  const std::string raw = "std::deque and two yields";
  measure({.name = "item through an unbounded queue", .baseline = raw}, unbounded,
          deque_and_yields);
  measure({.name = "item that its getter waits for", .baseline = raw}, one_by_one,
          deque_and_yields);
  measure(
      {.name = "item through a queue of at most 1", .baseline = raw}, [] { return bounded(1); },
      deque_and_yields);
  measure(
      {.name = "item through a queue of at most 16", .baseline = raw}, [] { return bounded(16); },
      deque_and_yields);
  measure({.name = "item through a channel", .baseline = raw}, channel, deque_and_yields);
}
