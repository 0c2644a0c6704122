// Four ways to wait no longer than one wants to.
#include <chrono>
#include <cstdio>
#include <stdexcept>

#include "greenroom/examples/gevent/flags.h"
#include "greenroom/scheduler/green.h"

using namespace greenroom;

namespace {

struct TooLong {};

// Runs the body for that long at most, and throws an error of one's own then.
template <class Error, class F>
void with_timeout(std::chrono::nanoseconds limit, F body) {
  if (!try_for(limit, body)) throw Error();
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags(argc, argv, 0.1);
  const auto limit = flags.time("timeout", 1, "how long each of the four waits");
  const auto first = flags.time("first", 20, "how long what the first waits for takes");
  const auto second = flags.time("second", 20, "the second");
  const auto third = flags.time("third", 20, "the third");
  const auto fourth = flags.time("fourth", 100, "the fourth");
  const int fail_every = flags.count("fail-every", 0, "every Nth of the four throws (0: none)");
  flags.check();

  auto work = [=](int number, std::chrono::nanoseconds time) {
    sleep(time);
    if (fail_every > 0 && number % fail_every == 0) throw std::runtime_error("no result");
  };

  // For as long as the object lives. join() does not say how the greenlet has ended.
  try {
    const Timeout timeout(limit);
    green::spawn(work, 1, first).join();
    std::puts("Thread 1 is done");
  } catch (const TimeoutError&) {
    std::puts("Thread 1 timed out");
  }

  // Nobody holds it: it fires in whatever this greenlet waits for then. get() throws what the
  // greenlet has thrown.
  try {
    Timeout::start_detached(limit);
    green::spawn(work, 2, second).get();
    std::puts("Thread 2 is done");
  } catch (const TimeoutError&) {
    std::puts("Thread 2 timed out");
  } catch (const std::exception& error) {
    std::printf("Thread 2: %s\n", error.what());
  }

  // Around a function. If the second was in time, its timeout may come here: it passes through.
  try {
    const bool is_in_time = try_for(limit, [&] { work(3, third); });
    std::puts(is_in_time ? "Thread 3 is done" : "Thread 3 timed out");
  } catch (const TimeoutError&) {
    std::puts("Thread 3 was disturbed");
  } catch (const std::exception& error) {
    std::printf("Thread 3: %s\n", error.what());
  }

  // With an error of one's own.
  try {
    with_timeout<TooLong>(limit, [&] { work(4, fourth); });
    std::puts("Thread 4 is done");
  } catch (const TooLong&) {
    std::puts("TooLong");
  } catch (const TimeoutError&) {
    std::puts("Thread 4 was disturbed");
  } catch (const std::exception& error) {
    std::printf("Thread 4: %s\n", error.what());
  }
  return 0;
}
