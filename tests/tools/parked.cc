// What the test of the gdb script looks at: parked functions with known names, on two hubs.
#include <sys/prctl.h>

#include <cstdio>
#include <memory>

#include "greenroom/actors/actors.h"

using namespace greenroom;
using namespace std::chrono_literals;

namespace {

struct Stop {};

[[gnu::noinline]] void file_letters(int depth) {
  if (depth > 0) {
    file_letters(depth - 1);
  } else {
    receive([](Stop) {});
  }
  asm volatile("");  // no tail call: the frame stays
}

[[gnu::noinline]] void wait_for_the_curtain(green::Event& curtain) {
  curtain.wait();
  asm volatile("");
}

[[gnu::noinline]] void hold_the_stage() {
  sleep(1h);
  asm volatile("");
}

struct Ledger {
  int handle(Stop) { return 0; }
};

void prompter() {
  receive([](Stop) {});
}

}  // namespace

int main() {
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  return run({.hubs = 2}, [] {
    auto curtain = std::make_shared<green::Event>();
    spawn({.name = "archivist", .label = "the archive"}, file_letters, 3);
    green::spawn([curtain] { wait_for_the_curtain(*curtain); });
    start<Ledger>(SpawnOptions{.name = "ledger"});
    spawn({.name = "prompter", .place = Placement::next_hub}, [parent = self()] {
      send(parent, Stop{});
      prompter();
    });
    receive([](Stop) {});
    yield();
    std::puts("parked");
    std::fflush(stdout);
    hold_the_stage();
  });
}
