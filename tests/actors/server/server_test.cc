// Servers: calls, casts, other messages, and what handlers may do, as gen_server.
// Replies are in server_reply_test, starts and ends in server_life_test.

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "greenroom/tests/actors/desk.h"

namespace greenroom {
namespace {

using namespace probe;

INSTANTIATE_TEST_SUITE_P(Places, Server, testing::Values(Peer::same_hub, Peer::other_hub));

// Call and cast.

TEST_P(Server, AnswersCallsAndTakesCastsInOrder) {
  on_hubs(2, [] {
    const auto server = desk();
    for (int i = 1; i <= 100; ++i) cast(server, Desk::Add{i});
    EXPECT_EQ(call(server, Desk::Get{}), 5050);
    call(server, Desk::Add{1});  // a call of a handler that returns nothing
    const Outcome<int> outcome = try_call(server, Desk::Get{});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(*outcome, 5051);
    end(server.pid());
  });
}

TEST_P(Server, CallOfADeadOneIsNoproc) {
  on_hubs(2, [] {
    const auto server = desk();
    end(server.pid());
    EXPECT_EQ(try_call(server, Desk::Get{}, Wait::forever()).reason(), Reason::noproc);
    EXPECT_EQ(reason_of<CallError>([&] { call(server, Desk::Get{}); }), Reason::noproc);
    EXPECT_EQ(try_call(ServerRef<Desk>(), Desk::Get{}).reason(), Reason::noproc);
    EXPECT_EQ(try_call(ServerName<Desk>("nobody"), Desk::Get{}).reason(), Reason::noproc);
  });
}

TEST_P(Server, CallOfOneThatEndsFailsWithItsReason) {
  on_hubs(2, [] {
    auto server = desk();
    const ExitReason thrown = try_call(server, Desk::Throw{}).reason();
    EXPECT_EQ(thrown, Reason::error);
    EXPECT_NE(thrown.to_string().find("no tea"), std::string::npos);
    EXPECT_TRUE(thrown.exception());

    server = desk();
    EXPECT_EQ(try_call(server, Desk::Stop{ExitReason("closed")}).reason(), ExitReason("closed"));

    server = desk();
    auto waiting = green::spawn([&] { return try_call(server, Desk::Wait{}).reason(); });
    wait_for_state(server.pid(), "parked in receive");
    exit(server.pid(), Reason::kill);
    EXPECT_EQ(waiting.get(patience), Reason::killed);
  });
}

TEST_P(Server, CallsThatWaitInItsMailboxFailWithItsReasonToo) {
  on_hubs(2, [] {
    const auto server = desk();
    cast(server, Desk::Wait{});
    wait_for_state(server.pid(), "parked in receive");
    std::vector<green::Greenlet<ExitReason>> queued;
    queued.reserve(static_cast<std::size_t>(5));
    for (int i = 0; i < 5; ++i)
      queued.push_back(green::spawn([&] { return try_call(server, Desk::Get{}).reason(); }));
    wait_until([&] { return process_info(server.pid()).mailbox_size == 5; });
    exit(server.pid(), ExitReason("closed"));
    for (auto& one : queued) EXPECT_EQ(one.get(patience), ExitReason("closed"));
  });
}

TEST_P(Server, AnUncaughtCallErrorIsTheCallersReason) {
  on_hubs(2, [] {
    const auto server = desk();
    const Monitored caller = spawn_monitor([&] { call(server, Desk::Stop{ExitReason("closed")}); });
    EXPECT_EQ(end_of(caller), ExitReason("closed"));
  });
}

TEST_P(Server, CallTimesOutAndTheServerGoesOn) {
  on_hubs(2, [] {
    const auto server = desk();
    EXPECT_EQ(try_call(server, Desk::Wait{}, 5ms).reason(), Reason::timeout);
    EXPECT_TRUE(is_alive(server.pid()));
    send(server.pid(), Go{});
    call(server, Desk::Add{1});
    EXPECT_EQ(call(server, Desk::Get{}), 1);
    EXPECT_TRUE(has_no_mail());  // the late reply is no mail
    end(server.pid());
  });
}

TEST(ServerReply, ThatHasArrivedBeatsTheDeadline) {
  in_actor([] {
    const auto server = start<Desk>();
    for (bool is_in_time = false; !is_in_time;) {
      const auto deadline = clock::now() + 20ms;
      auto caller = green::spawn([&] { return try_call(server, Desk::Get{}, 20ms); });
      wait_for_state(server.pid(), "idle, without a stack");
      yield();
      is_in_time = clock::now() < deadline;
      // The deadline passes while this greenlet keeps the hub busy; the reply was there first.
      while (clock::now() <= deadline + 5ms) {
      }
      const bool is_answered = bool(caller.get(patience));
      EXPECT_TRUE(is_answered || !is_in_time);
    }
  });
}

TEST_P(Server, CallWithoutWaitingIsAPoll) {
  on_hubs(2, [] {
    const auto server = desk();
    EXPECT_EQ(try_call(server, Desk::Wait{}, 0ms).reason(), Reason::timeout);
    send(server.pid(), Go{});
    EXPECT_EQ(call(server, Desk::Get{}), 0);
    end(server.pid());
  });
}

TEST_P(Server, CastNeverFails) {
  on_hubs(2, [] {
    const auto server = desk();
    end(server.pid());
    cast(server, Desk::Add{1});
    cast(ServerRef<Desk>(), Desk::Add{1});
    cast(ServerName<Desk>("nobody"), Desk::Add{1});
    cast(ServerName<Desk>("nobody").waiting(), Desk::Add{1});
  });
}

TEST_P(Server, CallFromAForeignThreadWorks) {
  on_hubs(2, [] {
    const auto server = desk();
    Hold hold = Hub::current().hold();
    std::thread([server, hold = std::move(hold), test = self()] {
      const int before = call(server, Desk::Get{});
      call(server, Desk::Add{before + 7});
      EXPECT_EQ(try_call(server, Desk::Wait{}, 5ms).reason(), Reason::timeout);
      send(server.pid(), Go{});
      EXPECT_EQ(call(server, Desk::Get{}), 7);
      EXPECT_EQ(try_call(server, Desk::Forget{}).reason(), ExitReason("no_reply"));
      EXPECT_EQ(try_call(server, Desk::Stop{ExitReason("closed")}).reason(), ExitReason("closed"));
      EXPECT_EQ(try_call(ServerName<Desk>("nobody"), Desk::Get{}).reason(), Reason::noproc);
      send(test, Ready{});
    }).detach();
    next<Ready>();
    EXPECT_EQ(end_of(server.pid()), Reason::noproc);
  });
}

TEST_P(Server, CallFromAForeignThreadOfADeadOneIsNoproc) {
  on_hubs(2, [] {
    const auto server = desk();
    end(server.pid());
    Hold hold = Hub::current().hold();
    std::thread([server, hold = std::move(hold), test = self()] {
      EXPECT_EQ(try_call(server, Desk::Get{}).reason(), Reason::noproc);
      send(test, Ready{});
    }).detach();
    next<Ready>();
  });
}

TEST(ServerCalls, CostNoMailOfTheCallers) {
  in_actor([] {
    const auto server = start<Desk>();
    for (int i = 0; i < 1000; ++i) send(self(), i);
    EXPECT_EQ(call(server, Desk::Get{}), 0);
    EXPECT_EQ(process_info(self()).mailbox_size, 1000U);
    exit(server.pid(), Reason::kill);
  });
}

// A caller that leaves.

struct Watchful {
  struct Ask {};
  green::Event* gate;
  Pid test;
  int handle(Ask) {
    const bool before = request_cancelled();
    gate->wait();
    send(test, std::pair(before, request_cancelled()));
    return 0;
  }
};

TEST_P(Server, CanAskWhetherTheCallerHasTimedOut) {
  on_hubs(2, [] {
    green::Event gate;
    const auto server = start<Watchful>(SpawnOptions{.place = place()}, &gate, self());
    EXPECT_EQ(try_call(server, Watchful::Ask{}, 5ms).reason(), Reason::timeout);
    gate.set();
    EXPECT_EQ((next<std::pair<bool, bool>>()), (std::pair(false, true)));
    gate.clear();
    cast(server, Watchful::Ask{});
    gate.set();
    EXPECT_EQ((next<std::pair<bool, bool>>()), (std::pair(false, false)));
    end(server.pid());
  });
}

TEST(ServerRequest, OfACallerThatWasKilledIsCancelled) {
  in_actor([] {
    green::Event gate;
    const auto server = start<Watchful>(&gate, self());
    const Monitored caller = spawn_monitor([&] { call(server, Watchful::Ask{}, Wait::forever()); });
    wait_for_state(server.pid(), "parked in event.wait");
    exit(caller.pid, Reason::kill);
    EXPECT_EQ(end_of(caller), Reason::killed);
    gate.set();
    EXPECT_EQ((next<std::pair<bool, bool>>()), (std::pair(false, true)));
    exit(server.pid(), Reason::kill);
  });
}

TEST(ServerCall, EndsByTheDeadlineOfTheScopeItIsIn) {
  in_actor([] {
    const auto desk = start<Desk>();
    EXPECT_THROW(with_deadline(5ms, [&] { call(desk, Desk::Wait{}, 1h); }), TimeoutError);
    exit(desk.pid(), Reason::kill);
  });
}

// A clean-up that runs because the deadline has passed has its own time.
struct Releases {
  ~Releases() {
    const Uncancellable uncancellable;
    sleep(1ms);  // the hub takes its turn: a deadline in the past would be seen
    answer = try_call(desk, Desk::Get{}, patience);
  }
  ServerRef<Desk> desk;
  std::optional<Outcome<int>>& answer;
};

TEST(ServerCall, InACleanUpInheritsNoDeadline) {
  in_actor([] {
    const auto desk = start<Desk>();
    std::optional<Outcome<int>> answer;
    EXPECT_THROW(with_deadline(1ms,
                               [&] {
                                 const Releases releases{desk, answer};
                                 auto busy = green::spawn([&] { call(desk, Desk::Wait{}); });
                                 const auto later =
                                     green::spawn_later(5ms, [&] { send(desk.pid(), Go{}); });
                                 sleep(1h);
                               }),
                 TimeoutError);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(*answer) << answer->reason();
    exit(desk.pid(), Reason::kill);
  });
}

// Other messages.

struct Informed {
  static constexpr bool trap_exits = true;
  Pid test;
  MonitorRef handle(Pid target) {
    link(target);
    return monitor(target);
  }
  void handle(const Down& down) { send(test, down); }
  void handle(const Exit& exit) { send(test, exit); }
  void handle(Message& any) { send(test, any.type_name()); }
};

TEST_P(Server, HandlesDownsExitsAndAnyMessage) {
  on_hubs(2, [] {
    const auto server = start<Informed>(SpawnOptions{.place = place()}, self());
    const Pid other = spawn([] {
      receive([](Go) {});
      stop(ExitReason("boom"));
    });
    const MonitorRef ref = call(server, other);
    send(other, Go{});
    const Down down = next<Down>();
    EXPECT_EQ(down.ref, ref);
    EXPECT_EQ(down.reason, ExitReason("boom"));
    EXPECT_EQ(next<Exit>().from, other);
    send(server.pid(), 1.5);
    EXPECT_EQ(next<std::string>(), "double");
    // A request for another type of server is a message like any other.
    cast(ServerRef<Desk>(server.pid()), Desk::Add{1});
    EXPECT_NE(next<std::string>().find("Add"), std::string::npos);
    end(server.pid());
  });
}

TEST_P(Server, CallOfTheWrongTypeFailsAndTheServerLives) {
  on_hubs(2, [] {
    const auto server = start<Informed>(SpawnOptions{.place = place()}, self());
    EXPECT_FALSE(try_call(ServerRef<Desk>(server.pid()), Desk::Get{}, Wait::forever()));
    EXPECT_TRUE(is_alive(server.pid()));
    end(server.pid());
  });
}

TEST_P(Server, WithoutAHandlerForAMessageDropsItAndLives) {
  on_hubs(2, [] {
    const auto server = desk();
    send(server.pid(), 1.5);
    EXPECT_EQ(call(server, Desk::Get{}), 0);
    end(server.pid());
  });
}

// Inside a handler.

struct Timed {
  struct Arm {};
  struct Ask {};
  int handle(Arm) {
    Timeout::start_detached(2ms);
    return 0;
  }
  bool handle(Ask) {
    sleep(20ms);
    return true;
  }
};

TEST(Handler, ItsDetachedTimeoutEndsWithIt) {
  in_actor([] {
    const auto server = start<Timed>();
    call(server, Timed::Arm{});
    EXPECT_TRUE(call(server, Timed::Ask{}));
    exit(server.pid(), Reason::kill);
  });
}

TEST(Handler, MayReceiveWhatItWaitsForAndLeavesRequestsAlone) {
  in_actor([] {
    const auto server = start<Desk>();
    auto waiting = green::spawn([&] { return call(server, Desk::Wait{}); });
    wait_for_state(server.pid(), "parked in receive");
    auto queued = green::spawn([&] { return call(server, Desk::Get{}); });
    wait_for_state(queued.pid(), "parked in call");
    EXPECT_FALSE(queued.ready());
    send(server.pid(), Go{});
    EXPECT_EQ(waiting.get(patience), 0);
    EXPECT_EQ(queued.get(patience), 0);
    exit(server.pid(), Reason::kill);
  });
}

TEST(Handler, AThousandIdleServersAnswer) {
  in_actor([] {
    std::vector<ServerRef<Desk>> servers;
    servers.reserve(static_cast<std::size_t>(1000));
    for (int i = 0; i < 1000; ++i) servers.push_back(start<Desk>());
    for (const auto& server : servers) cast(server, Desk::Add{1});
    int sum = 0;
    for (const auto& server : servers) sum += call(server, Desk::Get{});
    EXPECT_EQ(sum, 1000);
    EXPECT_EQ(process_info(servers[0].pid()).state, "idle, without a stack");
    for (const auto& server : servers) exit(server.pid(), Reason::kill);
  });
}

}  // namespace
}  // namespace greenroom
