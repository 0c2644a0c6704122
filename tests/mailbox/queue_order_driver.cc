// Runs the programs of queue_order_test.py on greenroom and writes what their greenlets say.
//
//   queue_order_driver PROGRAMS TRACE virtual|real
//
// virtual: on a simulated hub that takes the first of the ready greenlets, as a real one does; its
// clock moves when nobody is ready. real: on this thread's own hub; without programs that wait for
// a time.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "greenroom/mailbox/queue.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/hub/hub.h"

namespace greenroom {
namespace {

struct Step {
  std::string name;
  std::size_t target = 0;  // a queue or a greenlet
  int value = 0;
  int microseconds = 0;
};

struct Program {
  struct QueueSpec {
    std::string kind;
    std::size_t max_size = 0;
    std::vector<int> items = {};
  };
  int seed = 0;
  std::vector<QueueSpec> queues = {};
  std::vector<std::size_t> roots = {};
  std::map<std::size_t, std::vector<Step>> steps = {};
  bool has_time = false;
};

std::vector<Program> read_programs(const std::string& path) {
  std::ifstream file(path);
  std::vector<Program> programs;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word == "program") {
      words >> programs.emplace_back().seed;
    } else if (word == "queue") {
      auto& queue = programs.back().queues.emplace_back();
      words >> queue.kind >> queue.max_size;
      for (int item = 0; words >> item;) queue.items.push_back(item);
    } else if (word == "root") {
      words >> programs.back().roots.emplace_back();
    } else if (word == "step") {
      std::size_t greenlet = 0;
      Step step;
      words >> greenlet >> step.name >> step.target >> step.value >> step.microseconds;
      programs.back().has_time |= step.microseconds != 0;
      programs.back().steps[greenlet].push_back(step);
    }
  }
  return programs;
}

using Fifo = green::Queue<int>;
using Lifo = green::LifoQueue<int>;
using Heap = green::PriorityQueue<int>;
using Channel = green::Channel<int>;
using AnyQueue = std::variant<std::unique_ptr<Fifo>, std::unique_ptr<Lifo>, std::unique_ptr<Heap>,
                              std::unique_ptr<Channel>>;

AnyQueue make_queue(const Program::QueueSpec& spec) {
  const green::QueueOptions options{.max_size = spec.max_size};
  if (spec.kind == "fifo") return std::make_unique<Fifo>(options, spec.items);
  if (spec.kind == "lifo") return std::make_unique<Lifo>(options, spec.items);
  if (spec.kind == "heap") return std::make_unique<Heap>(options, spec.items);
  if (spec.kind == "channel") return std::make_unique<Channel>();
  throw std::invalid_argument("no such kind of queue: " + spec.kind);
}

// One program and its greenlets.
class World {
 public:
  World(const Program& program, std::ostream& trace) : program_(program), trace_(trace) {
    for (const auto& spec : program.queues) queues_.push_back(make_queue(spec));
    trace_ << "program " << program.seed << "\n";
  }
  void start() {
    for (const std::size_t root : program_.roots) spawn(root);
  }
  // Those that still wait; they are to say nothing more.
  void kill_all() {
    is_silent_ = true;
    for (const auto& [number, greenlet] : greenlets_)
      greenlet.kill({}, Wait(std::chrono::seconds(0)));
  }

 private:
  void spawn(std::size_t number) {
    if (greenlets_.contains(number)) return;
    greenlets_[number] = green::spawn([this, number] {
      const auto steps = program_.steps.find(number);
      if (steps == program_.steps.end()) return;
      for (const Step& step : steps->second) run(number, step);
    });
  }

  void say(std::size_t greenlet, const std::string& what) {
    if (!is_silent_) trace_ << greenlet << " " << what << "\n";
  }

  void run(std::size_t self, const Step& step) {
    if (step.name == "yield") {
      yield();
      say(self, "yielded");
    } else if (step.name == "spawn") {
      spawn(step.target);
    } else {
      std::visit([&](auto& queue) { run_on(*queue, self, step); }, queues_.at(step.target));
    }
  }

  template <class Queue>
  void run_on(Queue& queue, std::size_t self, const Step& step) {
    const Wait wait = step.microseconds == 0 ? Wait::forever()
                                             : Wait(std::chrono::microseconds(step.microseconds));
    const std::string on = " " + std::to_string(step.target) + " ";
    try {
      if (step.name == "put") {
        queue.put(step.value, wait);
        say(self, "put" + on + std::to_string(step.value));
      } else if (step.name == "put_nowait") {
        queue.put_nowait(step.value);
        say(self, "put_nowait" + on + std::to_string(step.value));
      } else if (step.name == "get") {
        say(self, "get" + on + std::to_string(queue.get(wait)));
      } else if (step.name == "get_nowait") {
        say(self, "get_nowait" + on + std::to_string(queue.get_nowait()));
      } else if (step.name == "peek") {
        say(self, "peek" + on + std::to_string(queue.peek(wait)));
      } else if (step.name == "size") {
        say(self, "size" + on + std::to_string(queue.qsize()) + (queue.empty() ? " empty" : "") +
                      (queue.full() ? " full" : ""));
      } else if (step.name == "work") {
        while (!queue.empty()) {
          say(self, "work" + on + std::to_string(queue.get()));
          yield();
        }
        say(self, "quits" + on);
      } else if (step.name == "done") {
        if (queue.unfinished() > 0) queue.task_done();
      } else if (step.name == "join") {
        queue.join();
        say(self, "joined" + on);
      } else {
        throw std::invalid_argument("no such step: " + step.name);
      }
    } catch (const green::Empty&) {
      say(self, step.name + on + "Empty");
    } catch (const green::Full&) {
      say(self, step.name + on + "Full");
    }
  }

  const Program& program_;
  std::ostream& trace_;
  bool is_silent_ = false;
  std::vector<AnyQueue> queues_ = {};
  std::map<std::size_t, green::Greenlet<>> greenlets_ = {};
};

class FirstComeFirstServed final : public detail::Environment {
 public:
  std::int64_t now() noexcept override { return time; }
  std::size_t choose(std::size_t) noexcept override { return 0; }
  std::size_t deliver(std::size_t count) noexcept override { return count; }
  void suspending(detail::Task&) noexcept override {}
  std::int64_t time = 1'000'000;
};

void run_until_quiet(Hub& hub, FirstComeFirstServed& environment) {
  for (;;) {
    while (hub.run_slice()) {
    }
    const std::int64_t next = hub.next_event();
    if (next == detail::no_deadline) return;
    environment.time = std::max(environment.time, next);
  }
}

void run_virtually(const Program& program, std::ostream& trace) {
  World world(program, trace);
  FirstComeFirstServed environment;
  Hub hub(environment);
  hub.post([&] { world.start(); });
  run_until_quiet(hub, environment);
  hub.post([&] { green::spawn([&] { world.kill_all(); }); });
  run_until_quiet(hub, environment);
}

// No program has as many turns as this.
constexpr int turns = 400;

void run_really(const Program& program, std::ostream& trace) {
  if (program.has_time) return;
  World world(program, trace);
  world.start();
  for (int i = 0; i < turns; ++i) yield();
  world.kill_all();
  while (Hub::current().task_count() > 1) yield();
}

}  // namespace
}  // namespace greenroom

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv, argv + argc);
  if (arguments.size() != 4) {
    std::cerr << "usage: queue_order_driver PROGRAMS TRACE virtual|real\n";
    return 2;
  }
  std::ofstream trace(arguments[2]);
  const auto run = arguments[3] == "real" ? &greenroom::run_really : &greenroom::run_virtually;
  for (const auto& program : greenroom::read_programs(arguments[1])) run(program, trace);
  return trace.flush() ? 0 : 1;
}
