// How many restarts a second a supervisor makes.
#include <cstdint>
#include <limits>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/tests/perf/measure.h"

namespace greenroom::perf {
namespace {

constexpr std::int64_t restarts = 20'000;
constexpr double server_goal = 1e9 / 1.5e6;
constexpr double parked_goal = 1e9 / 0.4e6;

struct Go {};

// Children enter themselves here when they start.
struct Board {
  std::vector<Pid> pids;
  std::int64_t starts = 0;
  void enter(std::size_t index) {
    pids[index] = self();
    ++starts;
  }
};

struct Worker {
  Worker(Board* board, std::size_t index) { board->enter(index); }
  void handle(Go) {}
};

void work(Board* board, std::size_t index) {
  board->enter(index);
  receive([](Go) {});
}

void end_by_kill(Pid pid) { exit(pid, Reason::kill); }
void end_by_message(Pid pid) { send(pid, Go{}); }

ChildSpec server_child(Board& board, std::size_t index) { return child<Worker>({}, &board, index); }
ChildSpec parked_child(Board& board, std::size_t index) { return child({}, work, &board, index); }

using MakeChild = ChildSpec (*)(Board& board, std::size_t index);
using End = void (*)(Pid pid);

// A supervisor, whose children end all at once, again and again.
class Tree {
 public:
  Tree(std::size_t children, MakeChild make, End end) : end_(end) {
    board_.pids.resize(children);
    SupervisorOptions options{.intensity = std::numeric_limits<int>::max()};
    for (std::size_t i = 0; i < children; ++i) options.children.push_back(make(board_, i));
    supervisor_ = start_supervisor(supervisor(std::move(options)));
  }
  ~Tree() {
    unlink(supervisor_);
    exit(supervisor_, Reason::shutdown);
    const MonitorRef ref = monitor(supervisor_);
    receive(when([&](const Down& down) { return down.ref == ref; }, [](const Down&) {}));
  }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  double run() {
    board_.starts = 0;
    const auto children = static_cast<std::int64_t>(board_.pids.size());
    const Stopwatch stopwatch;
    for (std::int64_t expected = children; expected <= restarts; expected += children) {
      for (const Pid pid : board_.pids) end_(pid);
      while (board_.starts < expected) yield();
    }
    const double elapsed = stopwatch.elapsed();
    check(board_.starts == restarts, "not every child was restarted once");
    return elapsed / restarts;
  }

 private:
  Board board_;
  Pid supervisor_;
  End end_;
};

void wait_for_down() {
  receive([](const Down&) {});
}

// The same without a supervisor.
double bare_servers() {
  Board board;
  board.pids.resize(1);
  const Stopwatch stopwatch;
  for (std::int64_t i = 0; i < restarts; ++i) {
    const Pid pid = start<Worker>(&board, std::size_t{0}).pid();
    monitor(pid);
    exit(pid, Reason::kill);
    wait_for_down();
  }
  check(board.starts == restarts, "not every server has started");
  return stopwatch.elapsed() / restarts;
}

double bare_actors(End end) {
  Board board;
  board.pids.resize(1);
  const Stopwatch stopwatch;
  for (std::int64_t i = 0; i < restarts; ++i) {
    const Monitored monitored = spawn_monitor(work, &board, std::size_t{0});
    yield();
    end(monitored.pid);
    wait_for_down();
  }
  check(board.starts == restarts, "not every actor has started");
  return stopwatch.elapsed() / restarts;
}

void measure_all() {
  {
    Tree tree(100, server_child, end_by_kill);
    measure(
        {.name = "restarts of a server that is killed, 100 at a time",
         .baseline = "start, monitor, kill",
         .goal = server_goal,
         .unit = Unit::per_second},
        [&] { return tree.run(); }, bare_servers);
  }
  {
    Tree tree(1, server_child, end_by_kill);
    measure(
        {.name = "restarts of a server that is killed, one by one",
         .baseline = "start, monitor, kill",
         .goal = server_goal,
         .unit = Unit::per_second},
        [&] { return tree.run(); }, bare_servers);
  }
  {
    Tree tree(100, parked_child, end_by_kill);
    measure(
        {.name = "restarts of a parked actor that is killed, 100 at a time",
         .baseline = "spawn_monitor, kill",
         .goal = parked_goal,
         .unit = Unit::per_second},
        [&] { return tree.run(); }, [] { return bare_actors(end_by_kill); });
  }
  {
    Tree tree(100, parked_child, end_by_message);
    measure(
        {.name = "restarts of a parked actor that ends by itself, 100 at a time",
         .baseline = "spawn_monitor, send",
         .goal = parked_goal,
         .unit = Unit::per_second},
        [&] { return tree.run(); }, [] { return bare_actors(end_by_message); });
  }
}

}  // namespace
}  // namespace greenroom::perf

int main() {
  greenroom::perf::pin_to_one_processor();
  // What is measured is the restart; a report is limited to 20 a second.
  greenroom::set_crash_logger([](const greenroom::CrashReport&) {});
  return greenroom::run(greenroom::perf::measure_all);
}
