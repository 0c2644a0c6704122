// A server under a supervisor, which starts it again: the README's second program.
#include <cstdio>
#include <stdexcept>

#include "greenroom/actors/actors.h"

using namespace greenroom;

struct Counter {
  struct Add {
    int amount;
  };
  struct Reset {};
  int total = 0;
  int handle(const Add& add) {
    if (add.amount < 0) throw std::invalid_argument("counters count up");
    return total += add.amount;
  }
  void handle(Reset) { total = 0; }
};

int main() {
  return run([] {
    start_supervisor(supervisor({.id = "top", .children = {child<Counter>({.id = "counter"})}}));
    const ServerName<Counter> counter("counter");
    std::printf("%d\n", call(counter, Counter::Add{5}));  // 5
    cast(counter, Counter::Reset{});
    const auto refused = try_call(counter, Counter::Add{-1});  // ends the server
    std::printf("%s\n", refused.reason().to_string().c_str());
    std::printf("%d\n", call(counter.waiting(), Counter::Add{1}));  // 1: from its successor
  });
}
