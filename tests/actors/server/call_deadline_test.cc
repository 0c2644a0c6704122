// When a call's time is over: on a hub that is never idle, in handlers that never park, and for
// waits that are over from the start. To the nanosecond it is in virtual_time_test.

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "greenroom/scheduler/watch/dump.h"
#include "greenroom/tests/actors/desk.h"

namespace greenroom {
namespace {

using namespace probe;

INSTANTIATE_TEST_SUITE_P(Places, Server, testing::Values(Peer::same_hub, Peer::other_hub));

// Keeps its hub to itself for as long as somebody waits.
struct Diligent {
  struct Work {};
  struct Dump {};
  int handle(Work) {
    int rounds = 0;
    while (!request_cancelled()) ++rounds;
    return rounds;
  }
  std::string handle(Dump) { return dump(); }
};

TEST_P(Server, SeesThatACallersTimeIsOverWithoutEverParking) {
  on_hubs(2, [] {
    const auto server = start<Diligent>(SpawnOptions{.place = place()});
    const auto before = clock::now();
    // On one hub the reply comes first, as the hub has had no turn to end the call; between two it
    // is a race.
    const Outcome<int> rounds = try_call(server, Diligent::Work{}, 5ms);
    EXPECT_GE(clock::now() - before, 5ms);
    EXPECT_TRUE(rounds || GetParam() == Peer::other_hub);
    EXPECT_TRUE(rounds ? *rounds > 0 : rounds.reason() == Reason::timeout);
    end(server.pid());
  });
}

// Its exit comes before its own turn, and before the server's.
TEST(CallDeadline, OfACallerThatIsOnItsWayOutIsOver) {
  in_actor([] {
    const auto server = start<Diligent>();
    for (const ExitReason& reason : {Reason::kill, Reason::shutdown}) {
      const Monitored caller = spawn_monitor([&] { call(server, Diligent::Work{}, 1h); });
      spawn([&] { exit(caller.pid, reason); });
      end_of(caller);
    }
    EXPECT_FALSE(call(server, Diligent::Dump{}).empty());  // it has come to the end of both
  });
}

TEST_P(Server, CallTimesOutWhileOthersKeepTheHubBusy) {
  on_hubs(2, [] {
    const auto server = desk();
    bool is_over = false;
    const auto yield_until_then = [&] {
      while (!is_over) yield();
    };
    const std::vector<green::Greenlet<>> busy{green::spawn(yield_until_then),
                                              green::spawn(yield_until_then),
                                              green::spawn(yield_until_then)};
    const auto before = clock::now();
    EXPECT_EQ(try_call(server, Desk::Wait{}, 5ms).reason(), Reason::timeout);
    EXPECT_GE(clock::now() - before, 5ms);
    is_over = true;
    green::joinall(busy);
    end(server.pid());
  });
}

TEST_P(Server, CallWhoseTimeIsOverBeforeItBeginsTimesOutAtOnce) {
  on_hubs(2, [] {
    const auto server = desk();
    using Time = clock::time_point;
    for (const Wait wait : {Wait(0s), Wait(-1ns), Wait(-1h), Wait(std::chrono::nanoseconds::min()),
                            Wait(clock::now() - 1s), Wait(Time(0s)), Wait(Time(-1ns)),
                            Wait(Time(-1000h)), Wait(Time::min())}) {
      EXPECT_EQ(try_call(server, Desk::Wait{}, wait).reason(), Reason::timeout);
      send(server.pid(), Go{});
      EXPECT_EQ(call(server, Desk::Get{}), 0);  // and has not hurt the server
    }
    end(server.pid());
  });
}

TEST_P(Server, CallMayWaitForLongerThanTheClockCounts) {
  on_hubs(2, [] {
    const auto server = desk();
    for (const Wait wait : {Wait(std::chrono::nanoseconds::max()), Wait(std::chrono::hours::max()),
                            Wait(std::chrono::nanoseconds::max() - 1ns),
                            Wait(clock::time_point::max()), Wait::forever()}) {
      EXPECT_EQ(call(server, Desk::Get{}, wait), 0);
      // Also where the hub looks at the clock meanwhile.
      auto caller = green::spawn([&] { return call(server, Desk::Wait{}, wait); });
      wait_for_state(server.pid(), "parked in receive");
      sleep(1ms);
      send(server.pid(), Go{});
      EXPECT_EQ(caller.get(patience), 0);
    }
    end(server.pid());
  });
}

TEST(CallDeadline, IsInADumpWhetherOrNotTheHubHasLookedAtTheClock) {
  in_actor([] {
    const std::string text = call(start<Diligent>(), Diligent::Dump{}, 1h);
    const std::size_t place = text.find("parked in call for ");
    ASSERT_NE(place, std::string::npos) << text;
    double left = 0;
    EXPECT_EQ(std::sscanf(text.c_str() + place, "parked in call for %*f s, %lf s left", &left), 1);
    EXPECT_GT(left, 3500) << text;
    EXPECT_LE(left, 3600) << text;
  });
}

TEST(CallDeadline, EndsAnInheritedOneBeforeItsOwn) {
  in_actor([] {
    const auto server = start<Desk>();
    EXPECT_THROW(with_deadline(5ms, [&] { call(server, Desk::Wait{}, 1h); }), TimeoutError);
    send(server.pid(), Go{});
    // Outside of it there is none to inherit.
    with_deadline(1h, [&] { EXPECT_EQ(call(server, Desk::Get{}, Wait::forever()), 0); });
    EXPECT_EQ(try_call(server, Desk::Wait{}, 5ms).reason(), Reason::timeout);
    exit(server.pid(), Reason::kill);
  });
}

}  // namespace
}  // namespace greenroom
