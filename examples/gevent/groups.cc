// Groups and pools: greenlets that are waited for together, and mapped over a range.
#include <cstdio>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/examples/gevent/flags.h"
#include "greenroom/scheduler/green.h"

using namespace greenroom;

namespace {

// Each result on a line. An error comes at its place, and the others after it.
template <class R>
void print_all(green::Results<R> results) {
  for (;;) {
    try {
      const std::optional<int> number = results.next();
      if (!number) return;
      std::printf("('task', %d)\n", *number);
    } catch (const std::exception& error) {
      std::puts(error.what());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags(argc, argv, 0.05);
  const int lines = flags.count("lines", 3, "how much each talks");
  const auto pause = flags.time("pause", 0, "how long each rests after a line");
  const Wait timeout = flags.limit("timeout", 0, "how long main waits for those who talk");
  const int tasks = flags.count("tasks", 3, "how many tasks there are");
  const int pool_size = flags.count("pool-size", 2, "how many run at the same time in the pool", 1);
  const int max_size =
      flags.count("max-size", 0, "how many results may lie unread (0: any number)");
  const auto unit = flags.time("step", 1, "how much sooner each task ends than the one before");
  const int fail_every = flags.count("fail-every", 0, "every Nth task throws (0: none)");
  flags.check();

  auto check = [&](int task) {
    if (fail_every > 0 && (task + 1) % fail_every == 0)
      throw std::runtime_error("task " + std::to_string(task) + " has failed");
  };

  auto talk = [&](const char* word) {
    for (int line = 0; line < lines; ++line) {
      std::puts(word);
      if (pause > pause.zero()) sleep(pause);
    }
  };
  green::Group talkers;
  const green::Greenlet<> bar = green::spawn(talk, "bar");
  const green::Greenlet<> foo = green::spawn(talk, "foo");
  const green::Greenlet<> fizz = green::spawn(talk, "fizz");
  talkers.add(bar);
  talkers.add(foo);
  if (!talkers.join(timeout)) std::puts("They still talk");
  talkers.add(fizz);
  talkers.join();

  std::vector<int> range(static_cast<std::size_t>(tasks));
  std::iota(range.begin(), range.end(), 0);
  green::Group group;
  group.map([&](int) { std::printf("Size of group %zu\n", group.size()); }, range);

  auto intensive = [&](int task) {
    sleep((tasks - task) * unit);
    check(task);
    return task;
  };
  const green::ImapOptions options{.max_size = static_cast<std::size_t>(max_size)};
  std::puts("Ordered");
  print_all(group.imap(intensive, range, options));
  std::puts("Unordered");
  print_all(group.imap_unordered(intensive, range, options));

  // map() is over at the first error.
  green::Pool pool(pool_size);
  try {
    pool.map(
        [&](int task) {
          std::printf("Size of pool %zu\n", pool.size());
          check(task);
        },
        range);
  } catch (const std::exception& error) {
    std::puts(error.what());
  }
  return 0;
}
