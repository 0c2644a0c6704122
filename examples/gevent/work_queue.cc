// Workers that share the tasks of a queue, turn by turn.
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
  if (worker == 3) return "nancy";
  return "worker" + std::to_string(worker);
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags(argc, argv, 0.01);
  const int workers = flags.count("workers", 3, "how many take tasks");
  const int tasks = flags.count("tasks", 24, "how many there are");
  const auto pause = flags.time("pause", 0, "how long a worker rests after a task");
  const Wait timeout = flags.limit("timeout", 0, "how long main waits for the workers");
  const int fail_every =
      flags.count("fail-every", 0, "every Nth task makes its worker throw (0: none)");
  flags.check();

  green::Queue<int> queue;
  auto boss = [&] {
    for (int task = 1; task <= tasks; ++task) queue.put_nowait(task);
  };
  auto worker = [&](const std::string& name) {
    while (!queue.empty()) {
      const int task = queue.get();
      std::printf("Worker %s got task %d\n", name.c_str(), task);
      if (fail_every > 0 && task % fail_every == 0)
        throw std::runtime_error(name + " could not do task " + std::to_string(task));
      sleep(pause);
    }
    std::puts("Quitting time!");
  };

  green::spawn(boss).join();
  std::vector<green::Greenlet<>> all;
  for (int n = 1; n <= workers; ++n) all.push_back(green::spawn(worker, name_of(n)));
  green::joinall(all, timeout);

  for (const green::Greenlet<>& greenlet : all) {
    if (const std::string failure = failure_of(greenlet); !failure.empty())
      std::puts(failure.c_str());
  }
  if (!queue.empty()) std::printf("%zu tasks are left\n", queue.size());
  green::killall(all);  // before the queue is gone
  return 0;
}
