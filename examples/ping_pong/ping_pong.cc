// Two actors that send each other a message, ten times.
#include <cstdio>

#include "greenroom/actors/actors.h"

using namespace greenroom;

struct Ping {
  Pid from;
  int number;
};
struct Pong {
  int number;
};

void ponger() {
  for (;;) {
    receive([](const Ping& ping) {
      std::printf("ping %d\n", ping.number);
      send(ping.from, Pong{ping.number});
    });
  }
}

int main() {
  return run([] {
    const Pid other = spawn_link(ponger);
    for (int number = 1; number <= 10; ++number) {
      send(other, Ping{self(), number});
      receive([](const Pong& pong) { std::printf("pong %d\n", pong.number); });
    }
    // Ends the other one, too: it is linked, and `shutdown` is no normal end.
    stop(Reason::shutdown);
  });
}
