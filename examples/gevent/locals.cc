// A local has a value of its own in each greenlet.
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/examples/gevent/failure.h"
#include "greenroom/examples/gevent/flags.h"
#include "greenroom/scheduler/green.h"

using namespace greenroom;

int main(int argc, char** argv) {
  Flags flags(argc, argv, 0.01);
  const int greenlets = flags.count("greenlets", 2, "how many there are; only the first sets x");
  const int rounds = flags.count("rounds", 1, "how often each counts its own number up");
  const auto pause = flags.time("pause", 0, "how long it sleeps from one round to the next");
  const int fail_every = flags.count("fail-every", 0, "every Nth throws in the end (0: none)");
  flags.check();

  struct Stash {
    std::optional<int> x, y;
  };
  green::local<Stash> stash;

  auto f = [&](int number) {
    for (int round = 0; round < rounds; ++round) {
      if (round > 0) sleep(pause);
      std::optional<int>& own = number == 1 ? stash->x : stash->y;
      own = own.value_or(0) + number;
      std::printf("%d\n", *own);
    }
    if (!stash->x) std::printf("x is not local to f%d\n", number);
    if (fail_every > 0 && number % fail_every == 0)
      throw std::runtime_error("f" + std::to_string(number) + " has failed");
  };

  std::vector<green::Greenlet<>> all;
  for (int number = 1; number <= greenlets; ++number) all.push_back(green::spawn(f, number));
  green::joinall(all);

  if (stash->x || stash->y) std::puts("main has a stash that it has not filled");
  for (const green::Greenlet<>& greenlet : all) {
    if (const std::string failure = failure_of(greenlet); !failure.empty())
      std::puts(failure.c_str());
  }
  return 0;
}
