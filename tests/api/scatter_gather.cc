// A hundred questions at once, and what was answered in time.
// The POSIX headers come first on purpose: none of their names may be in the way of ours.
#include <signal.h>  // NOLINT(modernize-deprecated-headers): it is what programs include
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <future>
#include <stdexcept>
#include <string>

#include "greenroom/actors/actors.h"

using namespace greenroom;
using namespace std::chrono_literals;
std::string ask(int i) {
  sleep(std::chrono::milliseconds(i * 3));
  if (i % 10 == 9) throw std::runtime_error("no");
  return "answer " + std::to_string(i);
}
int main() {  // scatter/gather
  return run([] {
    Tasks<std::string> tasks;
    for (int i = 0; i < 100; ++i) tasks.start(ask, i);
    for (const Outcome<std::string>& answer : tasks.collect(200ms))
      std::puts(answer ? answer->c_str() : answer.reason().to_string().c_str());
  });
}
