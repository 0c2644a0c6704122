// Two functions that switch to each other, in the order in which they were spawned.
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/examples/gevent/failure.h"
#include "greenroom/examples/gevent/flags.h"
#include "greenroom/scheduler/green.h"

using namespace greenroom;

int main(int argc, char** argv) {
  Flags flags(argc, argv, 0.01);
  const int pairs = flags.count("pairs", 1, "how many of foo and of bar there are");
  const int switches = flags.count("switches", 1, "how often each switches");
  const auto pause = flags.time("pause", 0, "how long it is away");
  const int fail_every = flags.count("fail-every", 0, "every Nth foo throws (0: none)");
  flags.check();

  auto foo = [&](int number) {
    std::puts("Running in foo");
    for (int n = 0; n < switches; ++n) {
      sleep(pause);
      if (fail_every > 0 && number % fail_every == 0)
        throw std::runtime_error("foo " + std::to_string(number) + " does not come back");
      std::puts("Explicit context switch to foo again");
    }
  };
  auto bar = [&] {
    std::puts("Explicit context to bar");
    for (int n = 0; n < switches; ++n) {
      sleep(pause);
      std::puts("Implicit context switch back to bar");
    }
  };

  std::vector<green::Greenlet<>> all;
  for (int number = 1; number <= pairs; ++number) {
    all.push_back(green::spawn(foo, number));
    all.push_back(green::spawn(bar));
  }
  green::joinall(all);

  for (const green::Greenlet<>& greenlet : all) {
    if (const std::string failure = failure_of(greenlet); !failure.empty())
      std::puts(failure.c_str());
  }
  return 0;
}
