// Servers: rules V1-V8 of gen_server, G1-G3 of starting, and what handlers may do.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

struct Go {};
struct Ready {};

// What many of the tests ask of it.
struct Desk {
  struct Add {
    int n;
  };
  struct Get {};
  struct Throw {};
  struct Stop {
    ExitReason reason;
  };
  struct Wait {};  // until Go comes as a message
  struct Forget {};
  struct Defer {};
  struct Answer {
    int n;
  };
  struct Fail {};

  int sum = 0;
  std::optional<ReplyTo<int>> deferred = {};

  void handle(const Add& add) { sum += add.n; }
  int handle(Get) { return sum; }
  int handle(Throw) { throw std::runtime_error("no tea"); }
  void handle(const Stop& request) { stop(request.reason); }
  int handle(Wait) {
    receive([](Go) {});
    return sum;
  }
  void handle(Forget, ReplyTo<int>) {}
  void handle(Defer, ReplyTo<int> reply) { deferred = std::move(reply); }
  void handle(Answer answer) {
    if (deferred) deferred->reply(answer.n);
  }
  void handle(Fail) {
    if (deferred) deferred->fail(ExitReason("sold out"));
  }
};

enum class Peer { same_hub, other_hub };
std::ostream& operator<<(std::ostream& out, Peer peer) {
  return out << (peer == Peer::same_hub ? "on the same hub" : "on another hub");
}

class Server : public testing::TestWithParam<Peer> {
 protected:
  static Placement place() { return GetParam() == Peer::same_hub ? Placement::here : elsewhere(); }
  static ServerRef<Desk> desk() { return start<Desk>(SpawnOptions{.place = place()}); }
  static void end(Pid pid) {
    exit(pid, Reason::kill);
    end_of(pid);
  }
};
INSTANTIATE_TEST_SUITE_P(Places, Server, testing::Values(Peer::same_hub, Peer::other_hub));

// ---- call and cast ----

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

TEST_P(Server, CallOfADeadOneIsNoproc) {  // V1
  on_hubs(2, [] {
    const auto server = desk();
    end(server.pid());
    EXPECT_EQ(try_call(server, Desk::Get{}, Wait::forever()).reason(), Reason::noproc);
    EXPECT_EQ(reason_of<CallError>([&] { call(server, Desk::Get{}); }), Reason::noproc);
    EXPECT_EQ(try_call(ServerRef<Desk>(), Desk::Get{}).reason(), Reason::noproc);
    EXPECT_EQ(try_call(ServerName<Desk>("nobody"), Desk::Get{}).reason(), Reason::noproc);
  });
}

TEST_P(Server, CallOfOneThatEndsFailsWithItsReason) {  // V1
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

TEST_P(Server, CallsThatWaitInItsMailboxFailWithItsReasonToo) {  // V1
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

TEST_P(Server, AnUncaughtCallErrorIsTheCallersReason) {  // V1
  on_hubs(2, [] {
    const auto server = desk();
    const Monitored caller = spawn_monitor([&] { call(server, Desk::Stop{ExitReason("closed")}); });
    EXPECT_EQ(end_of(caller), ExitReason("closed"));
  });
}

TEST_P(Server, CallTimesOutAndTheServerGoesOn) {  // V4
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

TEST(ServerReply, ThatHasArrivedBeatsTheDeadline) {  // V2
  in_actor([] {
    const auto server = start<Desk>();
    auto caller = green::spawn([&] { return try_call(server, Desk::Get{}, 1ms); });
    wait_for_state(server.pid(), "idle, without a stack");
    yield();
    // The deadline passes while this greenlet keeps the hub busy; the reply was there first.
    const auto until = clock::now() + 5ms;
    while (clock::now() < until) {
    }
    EXPECT_TRUE(caller.get(patience));
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

TEST_P(Server, CastNeverFails) {  // V5
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

TEST_P(Server, CallFromAForeignThreadOfADeadOneIsNoproc) {  // V1
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

// ---- a caller that leaves ----

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

TEST_P(Server, CanAskWhetherTheCallerHasTimedOut) {  // V4
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

// ---- ReplyTo ----

TEST_P(Server, RepliesLater) {
  on_hubs(2, [] {
    const auto server = desk();
    auto caller = green::spawn([&] { return call(server, Desk::Defer{}); });
    wait_for_state(caller.pid(), "parked in call");
    EXPECT_EQ(call(server, Desk::Get{}), 0);  // it is free meanwhile
    cast(server, Desk::Answer{5});
    EXPECT_EQ(caller.get(patience), 5);
    cast(server, Desk::Answer{6});  // a second reply does nothing
    EXPECT_EQ(call(server, Desk::Get{}), 0);
    end(server.pid());
  });
}

TEST_P(Server, FailsACallLater) {
  on_hubs(2, [] {
    const auto server = desk();
    auto caller = green::spawn([&] { return try_call(server, Desk::Defer{}).reason(); });
    wait_until([&] { return caller.started(); });
    call(server, Desk::Get{});
    cast(server, Desk::Fail{});
    EXPECT_EQ(caller.get(patience), ExitReason("sold out"));
    end(server.pid());
  });
}

TEST_P(Server, ThatDropsAReplyFailsItsCallerAtOnce) {
  on_hubs(2, [] {
    const auto server = desk();
    EXPECT_EQ(try_call(server, Desk::Forget{}, Wait::forever()).reason(), ExitReason("no_reply"));
    // One that is overwritten is dropped, too.
    auto first = green::spawn([&] { return try_call(server, Desk::Defer{}).reason(); });
    wait_until([&] { return first.started(); });
    auto second = green::spawn([&] { return call(server, Desk::Defer{}); });
    EXPECT_EQ(first.get(patience), ExitReason("no_reply"));
    cast(server, Desk::Answer{1});
    EXPECT_EQ(second.get(patience), 1);
    end(server.pid());
  });
}

TEST_P(Server, ThatEndsFailsItsDeferredRepliesWithItsReason) {
  on_hubs(2, [] {
    const auto server = desk();
    auto caller = green::spawn([&] { return try_call(server, Desk::Defer{}).reason(); });
    wait_until([&] { return caller.started(); });
    call(server, Desk::Get{});
    exit(server.pid(), ExitReason("closed"));
    EXPECT_EQ(caller.get(patience), ExitReason("closed"));
  });
}

struct Unlucky {
  struct Ask {};
  void handle(Ask, ReplyTo<int>) { throw std::runtime_error("unlucky"); }
};

TEST_P(Server, ThatThrowsWithTheReplyInHandFailsTheCallerWithItsReason) {
  on_hubs(2, [] {
    const auto server = start<Unlucky>(SpawnOptions{.place = place()});
    const ExitReason reason = try_call(server, Unlucky::Ask{}, Wait::forever()).reason();
    EXPECT_EQ(reason, Reason::error);
    EXPECT_NE(reason.to_string().find("unlucky"), std::string::npos);
  });
}

struct Forwarder {
  struct Ask {};
  Pid worker;
  void handle(Ask, ReplyTo<std::string> reply) { send(worker, std::move(reply)); }
};

TEST_P(Server, MayHandTheReplyToAnotherActor) {
  on_hubs(2, [] {
    const Pid worker = spawn(SpawnOptions{.place = place()}, [] {
      for (;;) receive([](ReplyTo<std::string> reply) { reply.reply("done elsewhere"); });
    });
    const auto server = start<Forwarder>(worker);
    EXPECT_EQ(call(server, Forwarder::Ask{}), "done elsewhere");
    // A worker that dies with it in its mailbox, unread.
    exit(worker, Reason::kill);
    is_alive(worker);
    EXPECT_FALSE(try_call(server, Forwarder::Ask{}, Wait::forever()));
    end(server.pid());
  });
}

struct ByReference {
  struct Ask {
    std::unique_ptr<int> n;
  };
  struct Take {
    std::unique_ptr<int> n;
  };
  void handle(const Ask& ask, ReplyTo<int> reply) { reply.reply(*ask.n); }
  void handle(Take&& take, ReplyTo<void> reply) {
    take.n.reset();
    reply.reply();
  }
};

TEST(ServerReply, IsFoundForRequestsTakenByReferenceToo) {
  in_actor([] {
    const auto server = start<ByReference>();
    EXPECT_EQ(call(server, ByReference::Ask{std::make_unique<int>(3)}), 3);
    call(server, ByReference::Take{std::make_unique<int>(3)});
    exit(server.pid(), Reason::kill);
  });
}

struct StopsWithReply {
  struct Ask {};
  Pid test;
  void handle(Ask, ReplyTo<int> reply) {
    reply.reply(1);
    stop(Reason::normal);
  }
  void terminate(const ExitReason& reason) { send(test, reason); }
};

TEST_P(Server, MayReplyAndStop) {  // V8
  on_hubs(2, [] {
    const auto server = start<StopsWithReply>(SpawnOptions{.place = place()}, self());
    const MonitorRef ref = monitor(server.pid());
    EXPECT_EQ(call(server, StopsWithReply::Ask{}), 1);
    EXPECT_EQ(end_of(ref), Reason::normal);
    EXPECT_EQ(next<ExitReason>(), Reason::normal);
  });
}

// ---- terminate ----

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

TEST(Terminate, RunsAtAStopAndAtAThrow) {  // V7
  in_actor([] {
    auto server = start<Terminates<Trap::no>>(self());
    cast(server, Terminates<Trap::no>::Stop{});
    EXPECT_EQ(next<ExitReason>(), ExitReason("stopped"));
    server = start<Terminates<Trap::no>>(self());
    cast(server, Terminates<Trap::no>::Throw{});
    EXPECT_EQ(next<ExitReason>(), Reason::error);
  });
}

TEST(Terminate, DoesNotRunAtAKillNorAtAnExitThatIsNotTrapped) {  // V7
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

TEST(Terminate, RunsAtTheParentsExitWhichIsNotHandedOn) {  // V6, V7
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

TEST(Terminate, RunsWhenTheParentSaysShutdown) {  // V6: as a supervisor does it
  in_actor([] {
    trap_exits();
    const auto server = start_link<Terminates<Trap::yes>>(self());
    exit(server.pid(), Reason::shutdown);
    EXPECT_EQ(next<ExitReason>(), Reason::shutdown);
    EXPECT_EQ(next<Exit>().reason, Reason::shutdown);
  });
}

TEST(Terminate, AnExitOfAnotherThanTheParentIsHandled) {  // V6
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

TEST(Terminate, ThatThrowsGivesTheReasonAndStillAnswers) {  // V8
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

// ---- start ----

struct Slow {
  explicit Slow(green::Event* gate, Pid test) {
    send(test, self());
    gate->wait();
  }
  void handle(Go) {}
};

TEST_P(Server, StartReturnsWhenTheConstructorIsDone) {  // G1
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

TEST_P(Server, StartThatFailsTellsWhyAndTheChildHasEnded) {  // G1, G3
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

TEST_P(Server, StartLinkThatFailsDoesNotHurtAStarterThatDoesNotTrap) {  // G3
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

TEST_P(Server, ThatIsKilledInItsConstructorFailsTheStart) {  // G1
  on_hubs(2, [] {
    green::Event gate;
    auto starter = green::spawn([&, place = place(), test = self()] {
      return reason_of<StartError>([&] { start<Slow>(SpawnOptions{.place = place}, &gate, test); });
    });
    exit(next<Pid>(), Reason::kill);
    EXPECT_EQ(starter.get(patience), Reason::killed);
  });
}

TEST_P(Server, WhoseStartTimesOutIsKilled) {  // G2
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

// ---- deadlocks ----

struct Ring {
  struct Ask {};
  struct Meet {
    ServerRef<Ring> next;
  };
  ServerRef<Ring> next;
  void handle(const Meet& meet) { next = meet.next; }
  std::string handle(Ask) {
    return std::string(try_call(next, Ask{}, Wait::forever()).reason().tag());
  }
};

TEST(Deadlock, OfACallToOneselfIsCallingSelf) {  // V1
  in_actor([] {
    const auto server = start<Ring>();
    call(server, Ring::Meet{server});
    EXPECT_EQ(call(server, Ring::Ask{}), "calling_self");
    exit(server.pid(), Reason::kill);
  });
}

TEST(Deadlock, OfARingFailsTheCallThatClosesItWithTheChain) {  // the documented deviation
  in_actor([] {
    std::vector<ServerRef<Ring>> ring;
    ring.reserve(static_cast<std::size_t>(3));
    for (int i = 0; i < 3; ++i) ring.push_back(start<Ring>());
    for (std::size_t i = 0; i < 3; ++i) call(ring[i], Ring::Meet{ring[(i + 1) % 3]});
    // ring[2]'s handler gets "deadlock"; the others are answered and say "normal".
    EXPECT_EQ(call(ring[0], Ring::Ask{}), "normal");
    // Seen from the one in the middle of a ring of two.
    call(ring[0], Ring::Meet{ring[1]});
    call(ring[1], Ring::Meet{ring[0]});
    std::string chain;
    struct Closer {
      ServerRef<Closer> peer;
      std::string* chain;
      void handle(ServerRef<Closer> other) { peer = other; }
      int handle(Go) {
        const auto outcome = try_call(peer, Go{}, Wait::forever());
        if (!outcome) *chain = outcome.reason().to_string();
        return 0;
      }
    };
    const auto one = start<Closer>(ServerRef<Closer>(), &chain);
    const auto two = start<Closer>(one, &chain);
    call(one, two);
    call(one, Go{});
    EXPECT_NE(chain.find("deadlock"), std::string::npos) << chain;
    EXPECT_NE(chain.find(one.pid().to_string()), std::string::npos) << chain;
    EXPECT_NE(chain.find(two.pid().to_string()), std::string::npos) << chain;
    for (const auto& server : ring) exit(server.pid(), Reason::kill);
    exit(one.pid(), Reason::kill);
    exit(two.pid(), Reason::kill);
  });
}

TEST(Deadlock, IsNoneWhileAReplyIsDeferred) {
  in_actor([] {
    // The desk waits for nobody: a caller of it that is called itself is no ring.
    const auto desk = start<Desk>();
    auto caller = green::spawn([&] { return call(desk, Desk::Defer{}, Wait::forever()); });
    wait_for_state(caller.pid(), "parked in call");
    EXPECT_EQ(call(desk, Desk::Get{}), 0);
    cast(desk, Desk::Answer{1});
    EXPECT_EQ(caller.get(patience), 1);
    exit(desk.pid(), Reason::kill);
  });
}

// ---- ServerName ----

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
    register_name("another name");  // wakes, and is not it
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

// ---- other messages ----

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

TEST_P(Server, WithoutAHandlerForAMessageDropsItAndLives) {  // V9
  on_hubs(2, [] {
    const auto server = desk();
    send(server.pid(), 1.5);
    EXPECT_EQ(call(server, Desk::Get{}), 0);
    end(server.pid());
  });
}

// ---- inside a handler ----

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

TEST(Handler, MayReceiveWhatItWaitsForAndLeavesRequestsAlone) {  // R4
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
