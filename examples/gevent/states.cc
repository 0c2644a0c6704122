// What a greenlet tells of itself: whether it has started and ended, how, and with what.
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/examples/gevent/failure.h"
#include "greenroom/examples/gevent/flags.h"
#include "greenroom/scheduler/green.h"

using namespace greenroom;

namespace {

std::string to_text(bool value) { return value ? "True" : "False"; }

// The value of one that has returned.
std::string value_of(const green::Greenlet<std::string>& greenlet) {
  return greenlet.ready() && greenlet.successful() ? greenlet.get() : "None";
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags(argc, argv, 0.01);
  const int greenlets = flags.count("greenlets", 2, "how many there are");
  const auto step = flags.time("step", 0, "number i takes i times this");
  const Wait timeout = flags.limit("timeout", 0, "how long main waits for all of them");
  const int fail_every = flags.count("fail-every", 2, "every Nth throws (0: none)");
  flags.check();

  // The exception of one that fails stays in its greenlet, and is reported on stderr.
  auto play = [=](int number) -> std::string {
    if (step > step.zero()) sleep(number * step);
    if (fail_every > 0 && number % fail_every == 0)
      throw std::runtime_error("You fail at failing.");
    return "You win!";
  };

  std::vector<green::Greenlet<std::string>> all;
  for (int number = 1; number <= greenlets; ++number) all.push_back(green::spawn(play, number));

  std::string started;
  for (const auto& player : all)
    started += (started.empty() ? "" : " ") + to_text(player.started());
  std::puts(started.c_str());

  green::joinall({all.begin(), all.end()}, timeout);

  std::string line;
  auto append = [&](const std::string& field) { line += (line.empty() ? "" : "|") + field; };
  for (const auto& player : all) append(value_of(player));
  for (const auto& player : all) append(to_text(player.ready()));
  for (const auto& player : all) append(to_text(player.successful()));
  for (const auto& player : all) {
    if (const std::string failure = failure_of(player); !failure.empty()) append(failure);
  }
  std::puts(line.c_str());
  return 0;
}
