// A boss who hands out work through a queue with little room: whoever is too fast waits.
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/examples/gevent/failure.h"
#include "greenroom/examples/gevent/flags.h"
#include "greenroom/mailbox/queue.h"
#include "greenroom/scheduler/green.h"

using namespace greenroom;

namespace {

std::string name_of(int worker) {
  if (worker == 1) return "steve";
  if (worker == 2) return "john";
  if (worker == 3) return "bob";
  return "worker" + std::to_string(worker);
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags(argc, argv, 1);
  const int workers = flags.count("workers", 3, "how many take tasks");
  const int tasks = flags.count("tasks", 19, "how many the boss has");
  const int max_size = flags.count("max-size", 3, "how many the queue has room for (0: for all)");
  const auto pause = flags.time("pause", 0, "how long a worker rests after a task");
  const Wait timeout = flags.limit("timeout", 1, "how long a worker waits for a task");
  const Wait patience = flags.limit("patience", 0, "how long the boss waits for room");
  const int fail_every =
      flags.count("fail-every", 0, "every Nth worker throws at a task (0: none)");
  flags.check();

  green::Queue<int> queue({.max_size = static_cast<std::size_t>(max_size)});
  auto worker = [&](int number) {
    const std::string name = name_of(number);
    try {
      for (;;) {
        const int task = queue.get(timeout);
        std::printf("Worker %s got task %d\n", name.c_str(), task);
        if (fail_every > 0 && number % fail_every == 0)
          throw std::runtime_error(name + " could not do task " + std::to_string(task));
        sleep(pause);
      }
    } catch (const green::Empty&) {
      std::puts("Quitting time!");
    }
  };
  auto boss = [&] {
    const int half = tasks / 2;
    for (int task = 1; task <= half; ++task) queue.put(task, patience);
    std::puts("Assigned all work in iteration 1");
    for (int task = half + 1; task <= tasks; ++task) queue.put(task, patience);
    std::puts("Assigned all work in iteration 2");
  };

  std::vector<green::Greenlet<>> all = {green::spawn(boss)};
  for (int number = 1; number <= workers; ++number) all.push_back(green::spawn(worker, number));
  // When those who are left wait for each other for ever, main is told.
  try {
    green::joinall(all);
  } catch (const green::LoopExit&) {
    std::puts("They all wait for each other");
  }

  for (const green::Greenlet<>& greenlet : all) {
    if (const std::string failure = failure_of(greenlet); !failure.empty())
      std::puts(failure.c_str());
  }
  green::killall(all);  // before the queue is gone, in which they wait
  return 0;
}
