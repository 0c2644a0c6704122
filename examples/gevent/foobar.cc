// Who sleeps, even for no time at all, lets all others run first.
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
  const int greenlets = flags.count("greenlets", 2, "how many print foo and bar");
  const int naps = flags.count("naps", 1, "how often each sleeps in between");
  const auto pause = flags.time("pause", 0, "how long it sleeps");
  const Wait timeout = flags.limit("timeout", 0, "how long main waits for all of them");
  const int fail_every = flags.count("fail-every", 0, "every Nth throws before its bar (0: none)");
  flags.check();

  auto foobar = [=](int number) {
    std::puts("foo");
    for (int nap = 0; nap < naps; ++nap) sleep(pause);
    if (fail_every > 0 && number % fail_every == 0)
      throw std::runtime_error("greenlet " + std::to_string(number) + " has no bar");
    std::puts("bar");
  };

  std::vector<green::Greenlet<>> all;
  for (int number = 1; number <= greenlets; ++number) all.push_back(green::spawn(foobar, number));
  green::joinall(all, timeout);

  for (const green::Greenlet<>& greenlet : all) {
    if (const std::string failure = failure_of(greenlet); !failure.empty())
      std::puts(failure.c_str());
  }
  return 0;
}
