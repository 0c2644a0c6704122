// Many wait for one event; and a result that comes later.
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/examples/gevent/failure.h"
#include "greenroom/examples/gevent/flags.h"
#include "greenroom/scheduler/green.h"

using namespace greenroom;

int main(int argc, char** argv) {
  Flags flags(argc, argv, 0.1);
  const int waiters = flags.count("waiters", 5, "how many wait for the event");
  const auto delay = flags.time("delay", 1, "when the event, and then the result, comes");
  const Wait timeout = flags.limit("timeout", 0, "how long each waits");
  const int readers = flags.count("readers", 1, "how many want the result");
  const int broken = flags.count("broken", 0, "1: the result is an error");
  const int fail_every = flags.count("fail-every", 0, "every Nth waiter throws (0: none)");
  flags.check();

  green::Event event;
  auto setter = [&] {
    std::puts("A: Hey wait for me, I have to do something");
    sleep(delay);
    std::puts("Ok, I'm done");
    event.set();
  };
  auto waiter = [&](int number) {
    std::puts("I'll wait for you");
    const bool is_set = event.wait(timeout);
    if (fail_every > 0 && number % fail_every == 0)
      throw std::runtime_error("waiter " + std::to_string(number) + " has left");
    std::puts(is_set ? "It's about time" : "It's too late");
  };
  std::vector<green::Greenlet<>> all = {green::spawn(setter)};
  for (int number = 1; number <= waiters; ++number) all.push_back(green::spawn(waiter, number));
  green::joinall(all);

  green::AsyncResult<std::string> result;
  auto writer = [&] {
    sleep(delay);
    if (broken > 0) {
      result.set_exception(std::make_exception_ptr(std::runtime_error("Goodbye!")));
    } else {
      result.set("Hello!");
    }
  };
  auto reader = [&] {
    try {
      std::puts(result.get(timeout).c_str());
    } catch (const TimeoutError&) {
      std::puts("No answer");
    }
  };
  std::vector<green::Greenlet<>> talkers = {green::spawn(writer)};
  for (int n = 0; n < readers; ++n) talkers.push_back(green::spawn(reader));
  green::joinall(talkers);

  all.insert(all.end(), talkers.begin(), talkers.end());
  for (const green::Greenlet<>& greenlet : all) {
    if (const std::string failure = failure_of(greenlet); !failure.empty())
      std::puts(failure.c_str());
  }
  return 0;
}
