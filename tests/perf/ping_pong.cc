// A message from one receive loop to another: on one hub, and between two.
#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <limits>
#include <mutex>
#include <thread>

#include "greenroom/actors/actors.h"
#include "greenroom/tests/perf/measure.h"
#include "greenroom/tests/perf/raw_switch.h"

namespace greenroom::perf {
namespace {

struct Ball {
  Pid from;
  std::int64_t left;
};
struct Done {};

void play(Pid referee) {
  const Pid me = self();
  for (;;) {
    receive([&](const Ball& ball) {
      if (ball.left == 0) {
        send(referee, Done{});
      } else {
        send(ball.from, Ball{me, ball.left - 1});
      }
    });
  }
}

// The last message has only been sent if all others have arrived.
void rally(Pid first, Pid second, std::int64_t messages) {
  send(first, Ball{second, messages - 1});
  receive([](Done) {});
}

double timed_rally(Pid first, Pid second, std::int64_t messages) {
  const Stopwatch stopwatch;
  rally(first, second, messages);
  return stopwatch.elapsed() / static_cast<double>(messages);
}

void measure_one_hub() {
  constexpr std::int64_t messages = 500'000;
  const Pid first = spawn(play, self());
  const Pid second = spawn(play, self());
  RawSwitches raw(2);
  measure(
      {.name = "ping-pong, one hub, a message", .baseline = "raw switch", .goal = 30},
      [=] { return timed_rally(first, second, messages); }, [&] { return raw.run(messages / 2); });
}

// Between two hubs.

struct Item {
  std::int64_t number;
};
struct Credit {
  std::int64_t received;
};
constexpr std::int64_t credit_every = 4096;
constexpr std::int64_t credit_limit = 4 * credit_every;

void consume(Pid producer) {
  std::int64_t received = 0;
  for (;;) {
    receive([&](const Item& item) {
      check(item.number == received % credit_limit, "a message is missing or out of order");
      if (++received % credit_every == 0) send(producer, Credit{received});
    });
  }
}

// Sends from this hub to the consumer, never more than `credit_limit` ahead of it.
double stream_to(Pid consumer) {
  constexpr std::int64_t items = 64 * credit_limit;
  std::int64_t sent = 0;
  std::int64_t received = 0;
  const Stopwatch stopwatch(Stopwatch::Counts::everything);
  while (received < items) {
    if (sent < items && sent - received < credit_limit) {
      send(consumer, Item{sent++ % credit_limit});
    } else {
      receive([&](Credit) { received += credit_every; });
    }
  }
  return stopwatch.elapsed() / items;
}

// The same with two threads, a lock and a condition.
double stream_by_threads() {
  constexpr std::int64_t items = 8 * credit_limit;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::int64_t> queue;
  const Stopwatch stopwatch(Stopwatch::Counts::everything);
  std::thread consumer([&] {
    for (std::int64_t received = 0; received < items; ++received) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return !queue.empty(); });
      queue.pop_front();
      if (queue.size() == credit_limit / 2) changed.notify_all();
    }
  });
  for (std::int64_t sent = 0; sent < items; ++sent) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return queue.size() < credit_limit; });
    queue.push_back(sent);
    if (queue.size() == 1) changed.notify_all();
  }
  consumer.join();
  return stopwatch.elapsed() / items;
}

// Calls f, which passes `messages` to and fro, for about 10 ms: nanoseconds a message in the
// fastest call. On a busy machine most are cut short by the kernel, which costs a thousand times as
// much.
template <class F>
double fastest_of_a_while(std::int64_t messages, F f) {
  double fastest = std::numeric_limits<double>::max();
  const Stopwatch whole(Stopwatch::Counts::everything);
  do {
    const Stopwatch stopwatch(Stopwatch::Counts::everything);
    f();
    fastest = std::min(fastest, stopwatch.elapsed() / static_cast<double>(messages));
  } while (whole.elapsed() < 1e7);
  return fastest;
}

constexpr std::int64_t chunk = 200;

// One way from thread to thread, through a word that both spin on.
double spin_by_threads() {
  alignas(64) std::atomic<std::int64_t> word{0};
  std::thread peer([&] {
    for (std::int64_t seen = 0;;) {
      const std::int64_t value =
          word.load(std::memory_order_acquire);  // pairs with the stores below
      if (value < 0) return;
      if (value == seen || value % 2 == 0) continue;
      seen = value + 1;
      word.store(seen, std::memory_order_release);
    }
  });
  std::int64_t next = 1;
  const double result = fastest_of_a_while(chunk, [&] {
    for (int i = 0; i < chunk; i += 2, next += 2) {
      word.store(next, std::memory_order_release);
      while (word.load(std::memory_order_acquire) != next + 1) {  // pairs with the peer's store
      }
    }
  });
  word.store(-1, std::memory_order_release);
  peer.join();
  return result;
}

// One way from thread to thread, each asleep on a condition.
double sleep_by_threads() {
  std::mutex mutex;
  std::array<std::condition_variable, 2> turn;
  std::int64_t count = 0;
  bool is_over = false;
  std::thread peer([&] {
    std::unique_lock lock(mutex);
    for (;;) {
      turn[1].wait(lock, [&] { return count % 2 == 1 || is_over; });
      if (is_over) return;
      ++count;
      turn[0].notify_one();
    }
  });
  const double result = fastest_of_a_while(chunk, [&] {
    std::unique_lock lock(mutex);
    for (int i = 0; i < chunk; i += 2) {
      ++count;
      turn[1].notify_one();
      turn[0].wait(lock, [&] { return count % 2 == 0; });
    }
  });
  {
    const std::lock_guard lock(mutex);
    is_over = true;
  }
  turn[1].notify_one();
  peer.join();
  return result;
}

// Spawns f(self()) on the other of two hubs.
template <class F>
Pid spawn_elsewhere(F f) {
  const std::uint32_t here = green::get_hub().id();
  for (;;) {
    const Pid pid = spawn(SpawnOptions{.place = Placement::next_hub}, [f, here, boss = self()] {
      const bool is_elsewhere = green::get_hub().id() != here;
      send(boss, is_elsewhere);
      if (is_elsewhere) f(boss);
    });
    if (receive([](bool is_elsewhere) { return is_elsewhere; })) return pid;
  }
}

void measure_two_hubs() {
  if (usable_processors() < 2) {
    std::puts("between two hubs: left out, there is one processor only");
    return;
  }
  const Pid consumer = spawn_elsewhere(consume);
  measure(
      {.name = "to another hub, throughput, a message",
       .baseline = "two threads with a lock and a condition",
       .goal = 30},
      [=] { return stream_to(consumer); }, stream_by_threads);

  const Pid near = spawn(play, self());
  const Pid far = spawn_elsewhere(play);
  auto across = [=] { return fastest_of_a_while(chunk, [=] { rally(far, near, chunk); }); };
  measure({.name = "to another hub, one way while both spin",
           .baseline = "two threads spinning on a word",
           .goal = 150,
           .baseline_is_floor = true,
           .rounds = 15},
          across, spin_by_threads);
  measure({.name = "to another hub, one way while both spin",
           .baseline = "two threads asleep on a condition",
           .rounds = 15},
          across, sleep_by_threads);
}

}  // namespace
}  // namespace greenroom::perf

int main() {
  using namespace greenroom::perf;
  const int status = greenroom::run({.hubs = 2}, measure_two_hubs);
  pin_to_one_processor();
  return status + greenroom::run(measure_one_hub);
}
