// The same greenlets in the same pool give the same results in the same order, run after run.
#include <cstdio>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/examples/gevent/flags.h"
#include "greenroom/scheduler/green.h"

using namespace greenroom;

int main(int argc, char** argv) {
  Flags flags(argc, argv, 0.001);
  const int pool_size = flags.count("pool-size", 10, "how many run at the same time", 1);
  const int tasks = flags.count("tasks", 10, "how many there are in a run");
  const int runs = flags.count("runs", 4, "how many runs are compared", 1);
  const auto delay = flags.time("delay", 1, "how long the first task takes");
  const int stride = flags.count("stride", 0, "task i takes i * N % tasks units more");
  const auto unit = flags.time("step", 1, "what one of these is");
  const int fail_every = flags.count("fail-every", 0, "every Nth task throws (0: none)");
  flags.check();

  auto echo = [&](int i) {
    sleep(delay + i * stride % tasks * unit);
    if (fail_every > 0 && (i + 1) % fail_every == 0)
      throw std::runtime_error("task " + std::to_string(i));
    return i;
  };

  std::vector<int> range(static_cast<std::size_t>(tasks));
  std::iota(range.begin(), range.end(), 0);
  // Errors come at their place among the results, and the results go on after them.
  green::Pool pool(pool_size);
  auto run = [&] {
    std::string text;
    auto append = [&](const std::string& item) { text += (text.empty() ? "" : ", ") + item; };
    auto results = pool.imap_unordered(echo, range);
    for (;;) {
      try {
        const std::optional<int> result = results.next();
        if (!result) return "[" + text + "]";
        append(std::to_string(*result));
      } catch (const std::exception& error) {
        append(error.what());
      }
    }
  };

  const std::string first = run();
  bool are_equal = true;
  for (int n = 1; n < runs; ++n) are_equal = run() == first && are_equal;
  std::printf("%s %s\n", are_equal ? "True" : "False", first.c_str());
  return 0;
}
