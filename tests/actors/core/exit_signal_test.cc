// The decision table of exit signals (OTP: "Receiving Exit Signals"), each row with two live
// actors, from the same and from another hub, to a target in each state; and how kills and ends by
// oneself differ from them. Over 400 lines: one table, and how to get a target into each of its
// states.

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>
#include <tuple>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

enum class Effect { dropped, message, death };

// One row of the table.
struct Row {
  const char* name;
  bool is_link;  // the signal comes from the end of a linked actor, not from exit()
  ExitReason reason;
  bool traps;
  Effect effect;
  ExitReason result;  // what the target dies of, or is told
  bool unlinks_before = false;
};

std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.name; }

const ExitReason boom("boom");
const ExitReason quiet("shutdown", 7);
const ExitReason normal_7("normal", 7);
const ExitReason kill_7("kill", 7);

const Row rows[] = {
    {"link, broken, boom", true, boom, false, Effect::dropped, boom, true},
    {"link, broken, boom, traps", true, boom, true, Effect::dropped, boom, true},
    {"link, normal", true, Reason::normal, false, Effect::dropped, Reason::normal},
    {"link, normal, traps", true, Reason::normal, true, Effect::message, Reason::normal},
    {"link, boom", true, boom, false, Effect::death, boom},
    {"link, shutdown", true, Reason::shutdown, false, Effect::death, Reason::shutdown},
    {"link, shutdown with detail", true, quiet, false, Effect::death, Reason::shutdown},
    {"link, kill", true, Reason::kill, false, Effect::death, Reason::kill},
    {"link, normal with detail", true, normal_7, false, Effect::death, Reason::normal},
    {"link, kill with detail", true, kill_7, false, Effect::death, Reason::kill},
    {"link, killed", true, Reason::killed, false, Effect::death, Reason::killed},
    {"link, noproc", true, Reason::noproc, false, Effect::death, Reason::noproc},
    {"link, boom, traps", true, boom, true, Effect::message, boom},
    {"link, shutdown, traps", true, Reason::shutdown, true, Effect::message, Reason::shutdown},
    {"link, kill, traps", true, Reason::kill, true, Effect::message, Reason::kill},
    {"exit, kill", false, Reason::kill, false, Effect::death, Reason::killed},
    {"exit, kill, traps", false, Reason::kill, true, Effect::death, Reason::killed},
    {"exit, kill with detail", false, kill_7, false, Effect::death, Reason::kill},
    {"exit, kill with detail, traps", false, kill_7, true, Effect::message, Reason::kill},
    {"exit, normal with detail", false, normal_7, false, Effect::death, Reason::normal},
    {"exit, normal with detail, traps", false, normal_7, true, Effect::message, Reason::normal},
    {"exit, killed, traps", false, Reason::killed, true, Effect::message, Reason::killed},
    {"exit, normal", false, Reason::normal, false, Effect::dropped, Reason::normal},
    {"exit, normal, traps", false, Reason::normal, true, Effect::message, Reason::normal},
    {"exit, boom", false, boom, false, Effect::death, boom},
    {"exit, shutdown", false, Reason::shutdown, false, Effect::death, Reason::shutdown},
    {"exit, boom, traps", false, boom, true, Effect::message, boom},
    {"exit, shutdown, traps", false, Reason::shutdown, true, Effect::message, Reason::shutdown},
};

enum class Sender { same_hub, other_hub };
std::ostream& operator<<(std::ostream& out, Sender sender) {
  return out << (sender == Sender::same_hub ? "from the same hub" : "from another hub");
}

enum class Target {
  in_receive,
  in_sleep,
  in_event,
  in_call,
  in_accept,
  in_read,
  running,
  not_started,
  idle,
  exiting
};
std::ostream& operator<<(std::ostream& out, Target target) {
  constexpr const char* names[] = {"in receive",    "in sleep",    "in event", "in call",
                                   "on a listener", "on a stream", "running",  "not started",
                                   "idle",          "exiting"};
  return out << "to one " << names[static_cast<int>(target)];
}

struct Ready {};
struct Go {};
struct Release {};
// What the target has found in its mailbox; nothing if from is nobody.
struct Told {
  Pid from;
  ExitReason reason = Reason::normal;
};

// The target ends its state when this is set; on its hub.
struct Gate {
  bool is_open = false;
  green::Event opened;
  void open() {
    is_open = true;
    opened.set();
  }
};

// A target on a socket, from outside: a real one, over the loopback.
struct Network {
  tcp::Listener listener{{"127.0.0.1", 0}};
  tcp::Stream peer;    // of what the target reads, or of what it is to accept
  tcp::Stream stream;  // the target's
};

Told told_by_mail() {
  return receive(
      [](const Exit& exit) {
        return Told{exit.from, exit.reason};
      },
      after(0s, [] { return Told{}; }));
}

// Answers when it is released.
struct Slow {
  ReplyTo<int> waiting;
  void handle(Go, ReplyTo<int> reply) { waiting = std::move(reply); }
  void handle(Release) { waiting.reply(1); }
};

template <bool traps>
struct Idle {
  static constexpr bool trap_exits = traps;
  Pid test;
  Told told = {};
  void handle(const Exit& exit) { told = {exit.from, exit.reason}; }
  void handle(Release) { send(test, told); }
};

class ExitSignal : public testing::TestWithParam<std::tuple<Row, Sender, Target>> {
 protected:
  // NOLINTBEGIN(readability-identifier-naming): a fixture's members, as if private
  Row row_ = std::get<0>(GetParam());
  bool is_near_ = std::get<1>(GetParam()) == Sender::same_hub;
  Target state_ = std::get<2>(GetParam());
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  ServerRef<Slow> slow_;
  std::shared_ptr<Network> network_;
  // NOLINTEND(readability-identifier-naming)

  Pid spawn_target(Pid test);
  void bring_to_state(Pid target);
  void release(Pid target);
  Monitored spawn_sender(Pid test, Pid target);
};

Pid ExitSignal::spawn_target(Pid test) {
  if (state_ == Target::idle || state_ == Target::not_started) {
    return row_.traps ? start<Idle<true>>(test).pid() : start<Idle<false>>(test).pid();
  }
  if (state_ == Target::in_call) slow_ = start<Slow>();
  if (state_ == Target::in_accept || state_ == Target::in_read)
    network_ = std::make_shared<Network>();
  if (state_ == Target::in_read) {
    network_->peer = tcp::connect(network_->listener.local());
    network_->stream = network_->listener.accept();
  }
  return spawn(
      [test, traps = row_.traps, state = state_, gate = gate_, slow = slow_, network = network_] {
        trap_exits(traps);
        switch (state) {
          case Target::in_receive:
            receive([](Release) {});
            break;
          case Target::in_sleep:
            while (!gate->is_open) sleep(1ms);
            break;
          case Target::in_event:
            gate->opened.wait();
            break;
          case Target::in_call:
            call(slow, Go{}, Wait::forever());
            break;
          case Target::in_accept:
            network->listener.accept();
            break;
          case Target::in_read: {
            std::byte room[1];
            network->stream.read_some(room);
            break;
          }
          case Target::running:
            while (!gate->is_open) yield();
            break;
          case Target::exiting: {
            const Uncancellable until_released;
            gate->opened.wait();
            break;
          }
          default:
            break;
        }
        if (state == Target::exiting) yield();
        send(test, told_by_mail());
      });
}

void ExitSignal::bring_to_state(Pid target) {
  switch (state_) {
    case Target::in_receive:
      return wait_for_state(target, "parked in receive");
    case Target::in_sleep:
      return wait_for_state(target, "parked in sleep");
    case Target::in_event:
      return wait_for_state(target, "parked in event.wait");
    case Target::in_call:
      return wait_for_state(target, "parked in call");
    case Target::in_accept:
      return wait_for_state(target, "parked in tcp.accept");
    case Target::in_read:
      return wait_for_state(target, "parked in tcp.read");
    case Target::running:
      return wait_for_state(target, "ready");
    case Target::exiting:
      return wait_for_state(target, "parked in event.wait");
    default:
      return wait_for_state(target, "idle, without a stack");
  }
}

void ExitSignal::release(Pid target) {
  gate_->open();
  if (state_ == Target::in_call) {
    cast(slow_, Release{});
  } else if (state_ == Target::in_accept) {
    network_->peer = tcp::connect(network_->listener.local());
  } else if (state_ == Target::in_read) {
    network_->peer.write_all("x");
  } else if (state_ == Target::idle) {
    if (row_.traps) {
      cast(ServerRef<Idle<true>>(target), Release{});
    } else {
      cast(ServerRef<Idle<false>>(target), Release{});
    }
  } else {
    send(target, Release{});
  }
}

Monitored ExitSignal::spawn_sender(Pid test, Pid target) {
  const Placement place = is_near_ ? Placement::here : elsewhere();
  return spawn_monitor(SpawnOptions{.place = place}, [row = row_, test, target] {
    if (row.is_link) link(target);
    if (row.unlinks_before) unlink(target);
    send(test, Ready{});
    receive([](Go) {});
    if (row.is_link) stop(row.reason);
    exit(target, row.reason);
  });
}

TEST_P(ExitSignal, HasTheEffectThatTheTableSays) {
  if (state_ == Target::not_started) GTEST_SKIP() << "see BeforeItsFirstLine";
  on_hubs(2, [this] {
    const Pid target = spawn_target(self());
    bring_to_state(target);
    const MonitorRef watch = monitor(target);
    const Monitored sender = spawn_sender(self(), target);
    next<Ready>();
    const ExitReason first = row_.traps ? Reason::kill : ExitReason("first");
    if (state_ == Target::exiting) exit(target, first);
    send(sender.pid, Go{});
    end_of(sender);  // what it sent has arrived: the target is on this hub, too

    if (state_ == Target::exiting) {
      // Whatever comes, it is ending of something else already.
      EXPECT_FALSE(is_alive(target));
      const auto all = processes();
      EXPECT_NE(std::find(all.begin(), all.end(), target), all.end());
      release(target);
      EXPECT_EQ(end_of(watch), row_.traps ? Reason::killed : first);
      EXPECT_TRUE(has_no_mail());
      return;
    }
    if (row_.effect == Effect::death) {
      EXPECT_EQ(end_of(watch), row_.result);
      EXPECT_TRUE(has_no_mail());
      return;
    }
    EXPECT_TRUE(is_alive(target));
    release(target);
    const Told told = next<Told>();
    if (row_.effect == Effect::dropped) {
      EXPECT_FALSE(told.from) << told.reason;
    } else {
      EXPECT_EQ(told.from, sender.pid);
      EXPECT_EQ(told.reason, row_.result);
    }
    exit(target, Reason::kill);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Table, ExitSignal,
    testing::Combine(testing::ValuesIn(rows), testing::Values(Sender::same_hub, Sender::other_hub),
                     testing::Values(Target::in_receive, Target::in_sleep, Target::in_event,
                                     Target::in_call, Target::in_accept, Target::in_read,
                                     Target::running, Target::idle, Target::exiting)));

class ExitSignalBeforeItsFirstLine : public testing::TestWithParam<Row> {};

TEST_P(ExitSignalBeforeItsFirstLine, HasTheSameEffectAndADeadOneNeverRuns) {
  const Row row = GetParam();
  in_actor([&row] {
    Pid target;
    Pid sender;
    bool has_run = false;
    // Ready before the target: what it does comes first.
    sender = spawn([&] {
      if (row.is_link) link(target);
      if (row.unlinks_before) unlink(target);
      if (row.is_link) stop(row.reason);
      exit(target, row.reason);
    });
    const Monitored started = spawn_monitor([&, test = self()] {
      has_run = true;
      send(test, told_by_mail());
    });
    target = started.pid;
    const ExitReason reason = end_of(started);
    if (row.effect == Effect::death) {
      EXPECT_EQ(reason, row.result);
      EXPECT_FALSE(has_run);
    } else {
      EXPECT_EQ(reason, Reason::normal);
      EXPECT_FALSE(next<Told>().from);
    }
  });
}

// It cannot trap before its first line.
std::vector<Row> rows_without_trap() {
  std::vector<Row> some;
  std::copy_if(std::begin(rows), std::end(rows), std::back_inserter(some),
               [](const Row& row) { return !row.traps; });
  return some;
}
INSTANTIATE_TEST_SUITE_P(Table, ExitSignalBeforeItsFirstLine,
                         testing::ValuesIn(rows_without_trap()));

// What is kept of the reason.

TEST(ExitSignalReason, ArrivesWithItsDetail) {
  on_hubs(2, [] {
    const Monitored target = spawn_monitor(SpawnOptions{.place = elsewhere()}, [] { sleep(1h); });
    exit(target.pid, ExitReason("shutdown", std::string("because")));
    const ExitReason reason = end_of(target);
    ASSERT_TRUE(reason.detail<std::string>());
    EXPECT_EQ(*reason.detail<std::string>(), "because");
  });
}

// A kill arrives as `killed`, and that is what its peers are told.

TEST(ExitSignalKill, PeersOfAKilledActorAreToldKilledAndCanTrapIt) {
  in_actor([] {
    trap_exits();
    const Pid victim = spawn_link([] { sleep(1h); });
    exit(victim, Reason::kill);
    EXPECT_EQ(next<Exit>().reason, Reason::killed);
  });
}

TEST(ExitSignalKill, PeersOfAKilledActorDieOfKilled) {
  in_actor([] {
    Pid victim;
    const Monitored peer = spawn_monitor([&] {
      victim = spawn_link([] { sleep(1h); });
      sleep(1h);
    });
    wait_for_state(peer.pid, "parked in sleep");
    exit(victim, Reason::kill);
    EXPECT_EQ(end_of(peer), Reason::killed);
  });
}

TEST(ExitSignalKill, StoppingOneselfWithKillIsTrappableByPeersAsKill) {
  in_actor([] {
    trap_exits();
    spawn_link([] { stop(Reason::kill); });
    EXPECT_EQ(next<Exit>().reason, Reason::kill);
  });
}

TEST(ExitSignalKill, AKilledActorsDestructorsRunButItsLaterCodeDoesNot) {
  in_actor([] {
    struct Flag {
      bool& flag;
      ~Flag() { flag = true; }
    };
    bool is_destroyed = false;
    bool went_on = false;
    const Monitored victim = spawn_monitor([&] {
      const Flag flag{is_destroyed};
      sleep(1h);
      went_on = true;
    });
    wait_for_state(victim.pid, "parked in sleep");
    exit(victim.pid, Reason::kill);
    end_of(victim);
    EXPECT_TRUE(is_destroyed);
    EXPECT_FALSE(went_on);
  });
}

TEST(ExitSignalKill, IsAliveIsFalseRightAfterIt) {
  on_hubs(2, [] {
    for (const Placement place : {Placement::here, elsewhere()}) {
      const Pid victim = spawn(SpawnOptions{.place = place}, [] {
        const Uncancellable for_a_while;
        for (int i = 0; i < 100; ++i) yield();
      });
      exit(victim, Reason::kill);
      EXPECT_FALSE(is_alive(victim));
    }
  });
}

// An actor and itself.

TEST(ExitSelf, NormalIsDroppedUnlessItTraps) {  // the documented deviation
  in_actor([] {
    exit(self(), Reason::normal);
    EXPECT_TRUE(has_no_mail());
    trap_exits();
    exit(self(), Reason::normal);
    const Exit exit = next<Exit>();
    EXPECT_EQ(exit.from, self());
    EXPECT_EQ(exit.reason, Reason::normal);
  });
}

TEST(ExitSelf, AnotherReasonActsAtOnce) {
  in_actor([] {
    bool went_on = false;
    const Monitored actor = spawn_monitor([&] {
      exit(self(), ExitReason("boom"));
      went_on = true;
    });
    EXPECT_EQ(end_of(actor), ExitReason("boom"));
    EXPECT_FALSE(went_on);
  });
}

TEST(ExitSelf, AnotherReasonIsAMessageIfItTraps) {
  in_actor([] {
    trap_exits();
    exit(self(), ExitReason("boom"));
    EXPECT_EQ(next<Exit>().reason, ExitReason("boom"));
  });
}

TEST(ExitSelf, KillIsKilledEvenIfItTraps) {
  in_actor([] {
    const Monitored actor = spawn_monitor([] {
      trap_exits();
      exit(self(), Reason::kill);
      ADD_FAILURE();
    });
    EXPECT_EQ(end_of(actor), Reason::killed);
  });
}

// How a body ends.

TEST(End, OfABodyThatReturnsIsNormal) {
  in_actor([] { EXPECT_EQ(end_of(spawn_monitor([] {})), Reason::normal); });
}

TEST(End, OfABodyThatThrowsIsErrorWithTheException) {
  in_actor([] {
    const ExitReason reason = end_of(spawn_monitor([] { throw std::out_of_range("seven"); }));
    EXPECT_EQ(reason, Reason::error);
    ASSERT_TRUE(reason.exception());
    EXPECT_THROW(std::rethrow_exception(reason.exception()), std::out_of_range);
  });
}

TEST(End, OfABodyThatStopsIsItsReason) {
  in_actor([] {
    EXPECT_EQ(end_of(spawn_monitor([] { stop(ExitReason("done")); })), ExitReason("done"));
    EXPECT_EQ(end_of(spawn_monitor([] { stop(); })), Reason::normal);
  });
}

TEST(End, OfAnUncaughtTimeoutIsTimeout) {
  in_actor([] {
    EXPECT_EQ(end_of(spawn_monitor([] {
                const Timeout timeout(1ms);
                sleep(1h);
              })),
              Reason::timeout);
  });
}

TEST(End, OfAKilledGreenletThatIsAnActorIsKilled) {
  in_actor([] {
    auto greenlet = green::spawn([] { sleep(1h); });
    const MonitorRef watch = monitor(greenlet.pid());
    yield();
    greenlet.kill();
    EXPECT_EQ(end_of(watch), Reason::killed);
    EXPECT_TRUE(greenlet.successful());
  });
}

TEST(End, OfAPromotedGreenletThatThrowsIsError) {
  in_actor([] {
    auto greenlet = green::spawn([] {
      self();
      throw std::runtime_error("no");
    });
    const MonitorRef watch = monitor(greenlet.pid());
    EXPECT_EQ(end_of(watch), Reason::error);
    EXPECT_THROW(greenlet.get(), std::runtime_error);
  });
}

TEST(End, OfAnActorThatSwallowsItsExitForEverIsTold) {  // it is abandoned, not waited for
  in_actor([] {
    const Monitored stubborn = spawn_monitor([] {
      for (;;) {
        try {
          sleep(1h);
        } catch (...) {
        }
      }
    });
    wait_for_state(stubborn.pid, "parked in sleep");
    exit(stubborn.pid, ExitReason("enough"));
    EXPECT_EQ(end_of(stubborn), ExitReason("enough"));
  });
}

}  // namespace
}  // namespace greenroom
