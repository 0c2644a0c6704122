// Servers: how they start, how they end, and how they are found by name.

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "greenroom/tests/actors/desk.h"

namespace greenroom {
namespace {

using namespace probe;

INSTANTIATE_TEST_SUITE_P(Places, Server, testing::Values(Peer::same_hub, Peer::other_hub));

// Terminate.

enum class Trap { no, yes };

template <Trap trap>
struct Terminates {
  static constexpr bool trap_exits = trap == Trap::yes;
  struct Throw {};
  struct Stop {};
  Pid test;
  void handle(Throw) { throw std::runtime_error("no"); }
  void handle(Stop) { stop(ExitReason("stopped")); }
  void handle(const Exit& exit) { send(test, exit); }
  void terminate(const ExitReason& reason) { send(test, reason); }
};

TEST(Terminate, RunsAtAStopAndAtAThrow) {
  in_actor([] {
    auto server = start<Terminates<Trap::no>>(self());
    cast(server, Terminates<Trap::no>::Stop{});
    EXPECT_EQ(next<ExitReason>(), ExitReason("stopped"));
    server = start<Terminates<Trap::no>>(self());
    cast(server, Terminates<Trap::no>::Throw{});
    EXPECT_EQ(next<ExitReason>(), Reason::error);
  });
}

TEST(Terminate, DoesNotRunAtAKillNorAtAnExitThatIsNotTrapped) {
  in_actor([] {
    const auto trapping = start<Terminates<Trap::yes>>(self());
    exit(trapping.pid(), Reason::kill);
    end_of(trapping.pid());
    const auto plain = start<Terminates<Trap::no>>(self());
    exit(plain.pid(), Reason::shutdown);
    end_of(plain.pid());
    EXPECT_TRUE(has_no_mail());
  });
}

TEST(Terminate, RunsAtTheParentsExitWhichIsNotHandedOn) {
  in_actor([] {
    Pid server;
    const Monitored parent = spawn_monitor([&, test = self()] {
      server = start_link<Terminates<Trap::yes>>(test).pid();
      send(test, Ready{});
      receive([](Go) {});
      stop(ExitReason("parent"));
    });
    next<Ready>();
    const MonitorRef ref = monitor(server);
    send(parent.pid, Go{});
    EXPECT_EQ(end_of(ref), ExitReason("parent"));
    EXPECT_EQ(next<ExitReason>(), ExitReason("parent"));
    end_of(parent);
    EXPECT_TRUE(has_no_mail());
  });
}

TEST(Terminate, RunsWhenTheParentSaysShutdown) {  // as a supervisor does it
  in_actor([] {
    trap_exits();
    const auto server = start_link<Terminates<Trap::yes>>(self());
    exit(server.pid(), Reason::shutdown);
    EXPECT_EQ(next<ExitReason>(), Reason::shutdown);
    EXPECT_EQ(next<Exit>().reason, Reason::shutdown);
  });
}

TEST(Terminate, AnExitOfAnotherThanTheParentIsHandled) {
  in_actor([] {
    const auto server = start<Terminates<Trap::yes>>(self());
    const Pid other = spawn([pid = server.pid()] { exit(pid, ExitReason("boom")); });
    const Exit told = next<Exit>();
    EXPECT_EQ(told.from, other);
    EXPECT_EQ(told.reason, ExitReason("boom"));
    EXPECT_TRUE(is_alive(server.pid()));
    exit(server.pid(), Reason::kill);
  });
}

struct ThrowsInTerminate {
  struct Ask {};
  void handle(Ask, ReplyTo<int> reply) {
    held = std::move(reply);
    stop(ExitReason("stopped"));
  }
  void terminate(const ExitReason&) { throw std::runtime_error("in terminate"); }
  ReplyTo<int> held = {};
};

TEST(Terminate, ThatThrowsGivesTheReasonAndStillAnswers) {
  in_actor([] {
    const auto server = start<ThrowsInTerminate>();
    const MonitorRef ref = monitor(server.pid());
    EXPECT_EQ(try_call(server, ThrowsInTerminate::Ask{}, Wait::forever()).reason(), Reason::error);
    EXPECT_EQ(end_of(ref), Reason::error);
  });
}

struct BlocksInTerminate {
  Pid test;
  void handle(Go) { stop(); }
  void terminate(const ExitReason&) {
    yield();
    sleep(1ms);
    send(test, Ready{});
  }
};

TEST(Terminate, MayBlock) {
  in_actor([] {
    cast(start<BlocksInTerminate>(self()), Go{});
    next<Ready>();
  });
}

TEST_P(Server, StateIsDestroyedBeforeItsEndIsTold) {
  on_hubs(2, [] {
    struct Owner {
      std::shared_ptr<int> owned;
      void handle(Go) {}
    };
    auto owned = std::make_shared<int>(0);
    const std::weak_ptr<int> seen = owned;
    const auto server = start<Owner>(SpawnOptions{.place = place()}, std::move(owned));
    EXPECT_FALSE(seen.expired());
    const MonitorRef ref = monitor(server.pid());
    exit(server.pid(), Reason::kill);
    end_of(ref);
    EXPECT_TRUE(seen.expired());
  });
}

// Start.

struct Slow {
  explicit Slow(green::Event* gate, Pid test) {
    send(test, self());
    gate->wait();
  }
  void handle(Go) {}
};

TEST_P(Server, StartReturnsWhenTheConstructorIsDone) {
  on_hubs(2, [] {
    green::Event gate;
    bool is_started = false;
    auto starter = green::spawn([&, place = place(), test = self()] {
      const auto server = start<Slow>(SpawnOptions{.place = place}, &gate, test);
      is_started = true;
      return server.pid();
    });
    const Pid pid = next<Pid>();
    wait_for_state(pid, "parked in event.wait");
    for (int i = 0; i < 10; ++i) yield();
    EXPECT_FALSE(is_started);
    gate.set();
    EXPECT_EQ(starter.get(patience), pid);
    end(pid);
  });
}

struct CannotStart {
  explicit CannotStart(const std::string& how) {
    if (how == "throw") throw std::runtime_error("no tea");
    if (how == "stop") stop(ExitReason("closed"));
    if (how == "normal") stop();
  }
  void handle(Go) {}
  void terminate(const ExitReason&) { ADD_FAILURE() << "terminate without a state"; }
};

TEST_P(Server, StartThatFailsTellsWhyAndTheChildHasEnded) {
  on_hubs(2, [] {
    trap_exits();
    const std::size_t before = processes().size();
    for (const bool is_linked : {false, true}) {
      const SpawnOptions options{.name = "starting", .place = place()};
      auto reason_for = [&](const char* how) {
        return reason_of<StartError>([&] {
          is_linked ? start_link<CannotStart>(options, std::string(how))
                    : start<CannotStart>(options, std::string(how));
        });
      };
      EXPECT_NE(reason_for("throw").to_string().find("no tea"), std::string::npos);
      EXPECT_EQ(whereis("starting"), std::nullopt);  // it has ended already
      EXPECT_EQ(reason_for("stop"), ExitReason("closed"));
      EXPECT_EQ(reason_for("normal"), Reason::normal);
      EXPECT_TRUE(has_no_mail());  // no exit signal besides
      EXPECT_TRUE(process_info(self()).links.empty());
    }
    EXPECT_LE(processes().size(), before + 1);
  });
}

TEST_P(Server, StartLinkThatFailsDoesNotHurtAStarterThatDoesNotTrap) {
  on_hubs(2, [] {
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(reason_of<StartError>([] {
                  start_link<CannotStart>(SpawnOptions{.place = place()}, std::string("stop"));
                }),
                ExitReason("closed"));
      yield();
    }
  });
}

TEST_P(Server, ThatIsKilledInItsConstructorFailsTheStart) {
  on_hubs(2, [] {
    green::Event gate;
    auto starter = green::spawn([&, place = place(), test = self()] {
      return reason_of<StartError>([&] { start<Slow>(SpawnOptions{.place = place}, &gate, test); });
    });
    exit(next<Pid>(), Reason::kill);
    EXPECT_EQ(starter.get(patience), Reason::killed);
  });
}

TEST_P(Server, WhoseStartTimesOutIsKilled) {
  on_hubs(2, [] {
    trap_exits();
    green::Event gate;
    for (const bool is_linked : {false, true}) {
      bool has_timed_out = false;
      const auto starter = green::spawn([&, me = self()] {
        const SpawnOptions options{.place = place()};
        try {
          is_linked ? start_link<Slow>(options, &gate, me) : start<Slow>(options, &gate, me);
        } catch (const TimeoutError&) {
          has_timed_out = true;
        }
      });
      const Pid server = next<Pid>();  // its constructor runs
      starter.kill(std::make_exception_ptr(TimeoutError()));
      EXPECT_TRUE(has_timed_out);
      const ExitReason reason = end_of(server);
      EXPECT_TRUE(reason == Reason::killed || reason == Reason::noproc) << reason;
    }
    EXPECT_TRUE(has_no_mail());
  });
}

TEST_P(Server, LinkedToItsStarterEndsWithIt) {
  on_hubs(2, [place = place] {
    Pid server;
    const Monitored starter = spawn_monitor([&] {
      server = start_link<Desk>(SpawnOptions{.place = place()}).pid();
      receive([](Go) {});
      stop(ExitReason("boom"));
    });
    wait_until([&] { return bool(server); });
    const MonitorRef ref = monitor(server);
    send(starter.pid, Go{});
    EXPECT_EQ(end_of(ref), ExitReason("boom"));
  });
}

// ServerName.

TEST_P(Server, NameFindsWhoeverHasItNow) {
  on_hubs(2, [] {
    const ServerName<Desk> name("desk");
    EXPECT_FALSE(name.find());
    const SpawnOptions options{.name = "desk", .place = place()};
    const auto first = start<Desk>(options);
    EXPECT_EQ(name.find(), first);
    cast(name, Desk::Add{1});
    EXPECT_EQ(call(name, Desk::Get{}), 1);
    end(first.pid());
    const auto second = start<Desk>(options);
    EXPECT_EQ(call(name, Desk::Get{}), 0);
    EXPECT_EQ(name.find(), second);
    end(second.pid());
  });
}

TEST_P(Server, NameThatWaitsIsThereWhenItComes) {
  on_hubs(2, [place = place] {
    const ServerName<Desk> name("desk");
    std::vector<green::Greenlet<int>> callers;
    callers.reserve(static_cast<std::size_t>(3));
    for (int i = 0; i < 3; ++i)
      callers.push_back(green::spawn([&] { return call(name.waiting(), Desk::Get{}, 10s); }));
    for (auto& caller : callers) wait_for_state(caller.pid(), "parked in call.waiting_for_name");
    register_name("another name");  // is not it
    const auto server = start<Desk>(SpawnOptions{.name = "desk", .place = place()});
    for (auto& caller : callers) EXPECT_EQ(caller.get(patience), 0);
    end(server.pid());
  });
}

TEST(ServerNameThatWaits, GivesUpAtTheDeadline) {
  in_actor([] {
    const ServerName<Desk> name("nobody");
    const ExitReason reason = try_call(name.waiting(), Desk::Get{}, 5ms).reason();
    EXPECT_TRUE(reason == Reason::noproc || reason == Reason::timeout) << reason;
    EXPECT_EQ(try_call(name, Desk::Get{}, 5s).reason(), Reason::noproc);
  });
}

TEST(ServerNameThatWaits, CanBeKilled) {
  in_actor([] {
    const Monitored caller = spawn_monitor(
        [] { call(ServerName<Desk>("nobody").waiting(), Desk::Get{}, Wait::forever()); });
    wait_for_state(caller.pid, "parked in call.waiting_for_name");
    exit(caller.pid, ExitReason("boom"));
    EXPECT_EQ(end_of(caller), ExitReason("boom"));
  });
}

}  // namespace
}  // namespace greenroom
