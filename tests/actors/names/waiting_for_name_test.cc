// Who waits for a name: woken when that name is taken, and not in the way of anybody else.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "greenroom/actors/actors.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;

struct Desk {
  struct Get {};
  int handle(Get) { return 7; }
};

TEST(WaitingForAName, IsOverForThoseWhoWaitForTheNameThatIsTaken) {
  testkit::simulate({}, [] {
    for (int i = 0; i < 5; ++i) {
      spawn([i] {
        try_call(ServerName<Desk>("name " + std::to_string(i)).waiting(), Desk::Get{}, 1s);
      });
    }
    sleep(1ms);
    const Hub::Statistics& counts = Hub::current().statistics();
    const auto slices_after_taking = [&](const std::string& name) {
      const std::uint64_t before = counts.slices;
      register_name(name);
      sleep(1ms);
      return counts.slices - before;
    };
    EXPECT_EQ(slices_after_taking("another name"), 1U);  // this actor's own, after its sleep
    EXPECT_GT(slices_after_taking("name 3"), 1U);
  });
}

TEST(WaitingForAName, GoesOnWhenTheNameHasComeAndGone) {
  testkit::simulate({}, [] {
    const auto caller = green::spawn(
        [] { return call(ServerName<Desk>("desk").waiting(), Desk::Get{}, Wait::forever()); });
    sleep(1ms);
    register_name("desk");
    unregister_name("desk");  // before the caller has looked
    sleep(1ms);
    EXPECT_FALSE(caller.ready());
    const auto desk = start<Desk>(SpawnOptions{.name = "desk"});
    EXPECT_EQ(caller.get(1s), 7);
    exit(desk.pid(), Reason::kill);
  });
}

// The caller finds at once that it would call itself, and leaves while the other hub's names come.
TEST(WaitingForAName, ThatIsGivenUpAtOnceLeavesNothingBehind) {
  testkit::run_actors({.hubs = 2}, [] {
    register_name("me");
    const Pid churner = spawn(SpawnOptions{.place = Placement::next_hub}, [] {
      for (;;) {
        register_name("churn");
        unregister_name("churn");
        yield();
      }
    });
    const ServerName<Desk> me("me");
    green::Event never;
    for (int i = 0; i < testkit::scale(500); ++i) {
      EXPECT_EQ(try_call(me.waiting(), Desk::Get{}).reason(), ExitReason("calling_self"));
      EXPECT_FALSE(never.wait(20us));
    }
    exit(churner, Reason::kill);
  });
}

// No run(), and nothing else that this hub could wait for.
TEST(WaitingForAName, HoldsTheHubOfAThreadUntilAnotherThreadTakesIt) {
  const Hub& hub = Hub::current();
  const std::uint64_t sleeps = hub.statistics().sleeps;
  std::atomic<bool> is_over = false;
  std::thread other([&] {
    while (hub.statistics().sleeps == sleeps && !is_over) std::this_thread::yield();
    start<Desk>(SpawnOptions{.name = "desk"});
    while (!is_over) sleep(1ms);
  });
  EXPECT_NO_THROW(
      EXPECT_EQ(call(ServerName<Desk>("desk").waiting(), Desk::Get{}, Wait::forever()), 7));
  is_over = true;
  other.join();
}

// As README.md says it.
TEST(LoopExit, IsHeldOffByAThreadThatIsGoingToSend) {
  const Hub& hub = Hub::current();
  const std::uint64_t sleeps = hub.statistics().sleeps;
  std::thread other([&, hold = green::get_hub().hold(), me = self()] {
    while (hub.statistics().sleeps == sleeps) std::this_thread::yield();
    send(me, 5);
  });
  EXPECT_EQ(receive([](int number) { return number; }), 5);
  other.join();
}

}  // namespace
}  // namespace greenroom
