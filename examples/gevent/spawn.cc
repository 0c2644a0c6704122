// Three ways to spawn: a function and its arguments, a lambda, and an object that is called.
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/examples/gevent/failure.h"
#include "greenroom/examples/gevent/flags.h"
#include "greenroom/scheduler/green.h"

using namespace greenroom;

namespace {

// What is a subclass of Greenlet in Python: a class with its own state and operator().
class Greeter {
 public:
  Greeter(std::string message, std::chrono::nanoseconds stay)
      : message_(std::move(message)), stay_(stay) {}
  void operator()() const {
    std::puts(message_.c_str());
    sleep(stay_);
  }

 private:
  std::string message_;
  std::chrono::nanoseconds stay_;
};

void foo(const std::string& message, std::chrono::nanoseconds delay, bool fails) {
  sleep(delay);
  if (fails) throw std::runtime_error("no " + message);
  std::puts(message.c_str());
}

std::string message_of(int number) {
  if (number == 1) return "Hello";
  if (number == 2) return "I live!";
  return "I am number " + std::to_string(number);
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags(argc, argv, 0.1);
  const int greenlets = flags.count("greenlets", 2, "how many print a message");
  const auto step = flags.time("step", 1, "from one message to the next");
  const int stride = flags.count("stride", 1, "number i's is the (i - 1) * N % greenlets + 1st");
  const int x = flags.count("x", 2, "what the lambda gets");
  const Wait timeout = flags.limit("timeout", 0, "how long main waits for all of them");
  const auto stay = flags.time("stay", 1, "how long the last one stays");
  const int fail_every = flags.count("fail-every", 0, "every Nth throws (0: none)");
  flags.check();

  std::vector<green::Greenlet<>> all;
  for (int number = 1; number <= greenlets; ++number) {
    const auto delay = ((number - 1) * stride % greenlets + 1) * step;
    const bool fails = fail_every > 0 && number % fail_every == 0;
    all.push_back(green::spawn(foo, message_of(number), delay, fails));
  }
  const green::Greenlet<int> sum = green::spawn([](int n) { return n + 1; }, x);
  all.push_back(sum);
  green::joinall(all, timeout);
  std::printf("%d\n", sum.get());

  green::spawn(Greeter("Hi there!", stay)).join();

  for (const green::Greenlet<>& greenlet : all) {
    if (const std::string failure = failure_of(greenlet); !failure.empty())
      std::puts(failure.c_str());
  }
  return 0;
}
