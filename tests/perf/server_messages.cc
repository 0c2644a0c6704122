// A message from one server to another; servers have no stack between two messages.
#include <cstdint>
#include <deque>
#include <memory>

#include "greenroom/actors/actors.h"
#include "greenroom/tests/perf/measure.h"
#include "greenroom/tests/perf/raw_switch.h"

namespace greenroom::perf {
namespace {

constexpr std::int64_t messages = 1'000'000;

struct Done {};

struct Player {
  struct Meet {
    ServerRef<Player> peer;
    Pid referee;
  };
  struct Ball {
    std::int64_t left;
  };

  ServerRef<Player> peer;
  Pid referee;

  void handle(const Meet& meet) {
    peer = meet.peer;
    referee = meet.referee;
  }
  void handle(const Ball& ball) {
    if (ball.left > 0) {
      cast(peer, Ball{ball.left - 1});
    } else {
      send(referee, Done{});
    }
  }
};

// Several balls fly at once; each ends at zero, so all messages have arrived when all are done.
double rally(ServerRef<Player> first, std::int64_t balls) {
  const Stopwatch stopwatch;
  for (std::int64_t i = 0; i < balls; ++i) cast(first, Player::Ball{messages / balls - 1});
  for (std::int64_t i = 0; i < balls; ++i) receive([](Done) {});
  return stopwatch.elapsed() / messages;
}

struct Job {
  virtual ~Job() = default;
  virtual std::int64_t run() const = 0;
};
struct RawBall final : Job {
  explicit RawBall(std::int64_t count) : left(count) {}
  std::int64_t run() const override { return left; }
  std::int64_t left;
};

// A queue of allocated jobs and a virtual call for each.
double run_jobs() {
  std::deque<std::unique_ptr<Job>> queue;
  const Stopwatch stopwatch;
  queue.push_back(std::make_unique<RawBall>(messages));
  while (!queue.empty()) {
    const std::unique_ptr<Job> job = std::move(queue.front());
    queue.pop_front();
    const std::int64_t left = job->run();
    if (left > 0) queue.push_back(std::make_unique<RawBall>(left - 1));
  }
  return stopwatch.elapsed() / messages;
}

void measure_all() {
  const auto first = start<Player>();
  const auto second = start<Player>();
  call(first, Player::Meet{second, self()});
  call(second, Player::Meet{first, self()});
  measure(
      {.name = "server to server, a message", .baseline = "queued virtual call", .goal = 15},
      [=] { return rally(first, 1); }, run_jobs);
  measure(
      {.name = "server to server, 100 under way", .baseline = "queued virtual call"},
      [=] { return rally(first, 100); }, run_jobs);
  RawSwitches raw(2);
  measure(
      {.name = "server to server, a message", .baseline = "raw switch"},
      [=] { return rally(first, 1); }, [&] { return raw.run(messages / 2); });
}

}  // namespace
}  // namespace greenroom::perf

int main() {
  greenroom::perf::pin_to_one_processor();
  return greenroom::run(greenroom::perf::measure_all);
}
