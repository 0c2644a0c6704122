// Who the stall watch names, and whom it leaves alone.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "greenroom/actors/actors.h"
#include "greenroom/tests/scheduler/watch/stall.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;

[[maybe_unused]] const int limit_is_set = ::setenv("GREENROOM_STALL_MS", "20", 1);

struct Crunch {
  const Stderr* written;
};
struct Cruncher {
  [[gnu::noinline]] void handle(Crunch crunch) { stall_until(*crunch.written, "has run for"); }
};

// Also by its name, which it has only from its start on.
TEST(StallWatch, NamesAnActorInFull) {
  const Stderr written;
  std::string pid;
  run([&] {
    const auto server = start<Cruncher>(SpawnOptions{.name = "mill"});
    pid = server.pid().to_string();
    call(server, Crunch{&written}, 60s);
  });
  const std::string text = written.text();
  EXPECT_NE(text.find("greenroom: actor " + pid + " 'mill' "), std::string::npos) << text;
  EXPECT_NE(text.find("Cruncher has run for"), std::string::npos) << text;
  EXPECT_NE(text.find("stall_until("), std::string::npos) << text;
}

TEST(StallWatch, LeavesAnActorWithAThreadOfItsOwnAlone) {
  const Stderr written;
  run([] {
    const auto [pid, ref] =
        spawn_monitor(SpawnOptions{.place = Placement::own_thread}, [] { stall_for(200ms); });
    receive(when([&ref = ref](const Down& down) { return down.ref == ref; }, [](const Down&) {}));
  });
  EXPECT_EQ(written.text(), "");
}

}  // namespace
}  // namespace greenroom
