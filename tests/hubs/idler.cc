// A process with every default on: a burst between two hubs, some timers and sockets used, then
// idle until a signal.
#include <cstdio>

#include "greenroom/actors/actors.h"
#include "greenroom/io/tcp.h"

using namespace greenroom;
using namespace std::chrono_literals;

struct Ball {
  Pid from;
};

int main() {
  return run({.hubs = 2}, [] {
    const Pid other = spawn({.place = Placement::next_hub}, [] {
      for (;;) receive([](const Ball& ball) { send(ball.from, Ball{self()}); });
    });
    for (int i = 0; i < 100'000; ++i) {
      send(other, Ball{self()});
      receive([](const Ball&) {});
    }
    try_for(1ms, [] { sleep(1h); });
    tcp::Listener listener({"127.0.0.1", 0});
    std::puts("idle");
    std::fflush(stdout);
    listener.accept();
  });
}
