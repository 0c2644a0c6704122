// What is true when somebody hears that a server has ended, and who may end it.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

struct Boom {};
struct Get {};
struct Keep {};

class ServerEnd : public testing::TestWithParam<bool> {
 protected:
  static Placement place() { return GetParam() ? elsewhere() : Placement::here; }
};

// Dies of Boom, and takes its time to be destroyed.
struct Fragile {
  explicit Fragile(std::chrono::nanoseconds how_long) : last_words(how_long) {}
  ~Fragile() { sleep(last_words); }
  int handle(Get) { return 1; }
  int handle(Boom) { throw std::runtime_error("boom"); }
  void handle(Keep, ReplyTo<int> reply) { kept.push_back(std::move(reply)); }

  std::chrono::nanoseconds last_words;
  std::vector<ReplyTo<int>> kept;
};

TEST_P(ServerEnd, FreesTheNameBeforeTheCallerIsTold) {
  on_hubs(2, [] {
    for (int i = 0; i < 200; ++i) {
      const std::chrono::nanoseconds last_words = i < 5 ? 2ms : 1ns;
      const auto server =
          start<Fragile>(SpawnOptions{.name = "fragile", .place = place()}, last_words);
      ASSERT_EQ(try_call(server, Boom{}).reason(), Reason::error);
      ASSERT_EQ(whereis("fragile"), std::nullopt);
      ASSERT_FALSE(is_alive(server.pid()));
    }
  });
}

TEST_P(ServerEnd, FreesTheNameBeforeThoseAreToldWhomItOwesAnAnswer) {
  on_hubs(2, [] {
    for (int i = 0; i < 200; ++i) {
      const auto server = start<Fragile>(SpawnOptions{.name = "fragile", .place = place()}, 1ns);
      const auto told = green::spawn([&] {
        ExitReason reason = try_call(server, Keep{}).reason();
        EXPECT_EQ(whereis("fragile"), std::nullopt);
        return reason;
      });
      yield();
      const auto killed = green::spawn([&] { return try_call(server, Boom{}).reason(); });
      ASSERT_EQ(told.get(patience), Reason::error);
      ASSERT_EQ(killed.get(patience), Reason::error);
    }
  });
}

TEST_P(ServerEnd, LetsACallThatWaitsForTheNameReachTheSuccessor) {
  on_hubs(2, [] {
    const Monitored owner = spawn_monitor(SpawnOptions{.place = place()}, [] {
      start_supervisor(
          supervisor({.intensity = 1000, .children = {child<Fragile>({.id = "fragile"}, 1ns)}}));
      receive([](Boom) {});
    });
    const ServerName<Fragile> name("fragile");
    for (int i = 0; i < 200; ++i) {
      ASSERT_EQ(try_call(name.waiting(), Boom{}, patience).reason(), Reason::error);
      ASSERT_EQ(call(name.waiting(), Get{}, patience), 1);
    }
    send(owner.pid, Boom{});
    end_of(owner);
  });
}

INSTANTIATE_TEST_SUITE_P(Places, ServerEnd, testing::Bool(), [](const auto& info) {
  return std::string(info.param ? "AnotherHub" : "SameHub");
});

// Each is destroyed while the other is; meanwhile and afterwards a third drops replies, for no
// reason but its own.
TEST(ServerEndOfSeveral, DoesNotLendItsReason) {
  struct Gated {
    explicit Gated(green::Event* to_go) : gate(to_go) {}
    ~Gated() { gate->wait(); }
    void handle(Boom) { throw std::runtime_error("boom"); }
    green::Event* gate;
  };
  struct Forgetful {
    void handle(Keep, ReplyTo<int>) {}
  };
  in_actor([] {
    green::Event first_gate;
    green::Event second_gate;
    const auto first = start<Gated>(&first_gate);
    const auto second = start<Gated>(&second_gate);
    const auto third = start<Forgetful>();
    auto first_caller = green::spawn([&] { return try_call(first, Boom{}).reason(); });
    wait_for_state(first.pid(), "parked in event.wait");
    auto second_caller = green::spawn([&] { return try_call(second, Boom{}).reason(); });
    wait_for_state(second.pid(), "parked in event.wait");
    EXPECT_EQ(try_call(third, Keep{}).reason(), ExitReason("no_reply"));
    first_gate.set();
    EXPECT_EQ(first_caller.get(patience), Reason::error);
    EXPECT_EQ(try_call(third, Keep{}).reason(), ExitReason("no_reply"));
    second_gate.set();
    EXPECT_EQ(second_caller.get(patience), Reason::error);
    EXPECT_EQ(try_call(third, Keep{}).reason(), ExitReason("no_reply"));
  });
}

// What is unwound with the handler is owed until the actor has ended, whatever it does meanwhile.
TEST(ServerEndWithTerminate, FailsItsCallersWithTheReasonAndNotBefore) {
  struct Slow {
    explicit Slow(green::Event* to_go) : gate(to_go) {}
    void handle(Keep, ReplyTo<int>) { throw std::runtime_error("boom"); }
    void terminate(const ExitReason&) { gate->wait(); }
    green::Event* gate;
  };
  in_actor([] {
    green::Event gate;
    const auto server = start<Slow>(&gate);
    auto caller = green::spawn([&] { return try_call(server, Keep{}).reason(); });
    wait_for_state(server.pid(), "parked in event.wait");
    for (int i = 0; i < 100; ++i) yield();
    EXPECT_FALSE(caller.ready());
    gate.set();
    EXPECT_EQ(caller.get(patience), Reason::error);
  });
}

struct Traps {
  static constexpr bool trap_exits = true;
  explicit Traps(Pid to) : test(to) {}
  void handle(const Exit& exit) { send(test, exit); }
  void terminate(const ExitReason& reason) { send(test, reason); }
  int handle(Get) { return 1; }
  Pid test;
};

TEST(ServerParent, IsWhoStartedItWithALink) {
  in_actor([] {
    trap_exits();
    const auto server = start_link<Traps>(self());
    exit(server.pid(), Reason::shutdown);
    EXPECT_EQ(next<ExitReason>(), Reason::shutdown);
    EXPECT_EQ(next<Exit>().from, server.pid());
  });
}

TEST(ServerParent, IsNobodyWithoutALink) {
  in_actor([] {
    const auto server = start<Traps>(self());
    exit(server.pid(), Reason::shutdown);
    EXPECT_EQ(next<Exit>().reason, Reason::shutdown);
    EXPECT_EQ(call(server, Get{}), 1);
    exit(server.pid(), Reason::kill);
  });
}

TEST(EndOfARun, TellsAnActorOnceThatItIsToEnd) {
  int told = 0;
  EXPECT_EQ(run({.grace = 50ms},
                [&] {
                  spawn([&] {
                    trap_exits();
                    for (;;) receive([&](const Exit&) { ++told; });
                  });
                  yield();
                }),
            0);
  EXPECT_EQ(told, 1);
}

struct Noted {
  static constexpr bool trap_exits = true;
  explicit Noted(std::vector<ExitReason>* list) : reasons(list) {}
  void handle(const Exit&) { ADD_FAILURE(); }
  void terminate(const ExitReason& reason) { reasons->push_back(reason); }
  std::vector<ExitReason>* reasons;
};

TEST(EndOfARun, EndsAServerThatTrapsExitsThroughTerminate) {
  std::vector<ExitReason> reasons;
  EXPECT_EQ(run([&] { start<Noted>(&reasons); }), 0);
  EXPECT_EQ(reasons, std::vector<ExitReason>{Reason::shutdown});
}

}  // namespace
}  // namespace greenroom
