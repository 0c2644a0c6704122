// A boss and three workers around a queue of three.
// The POSIX headers come first on purpose: none of their names may be in the way of ours.
#include <signal.h>  // NOLINT(modernize-deprecated-headers): it is what programs include
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <future>
#include <string>

#include "greenroom/mailbox/queue.h"
#include "greenroom/scheduler/green.h"

using namespace greenroom;
using namespace std::chrono_literals;
int main() {  // gevent's bounded queue
  green::Queue<int> tasks({.max_size = 3});
  auto worker = [&](std::string name) {
    try {
      for (;;) {
        std::printf("Worker %s got task %d\n", name.c_str(), tasks.get(1s));
        yield();
      }
    } catch (const green::Empty&) {
      std::puts("Quitting time!");
    }
  };
  auto boss = [&] {
    for (int i = 1; i < 20; ++i) tasks.put(i);
  };
  green::joinall({green::spawn(boss), green::spawn(worker, "steve"), green::spawn(worker, "john"),
                  green::spawn(worker, "bob")});
}
