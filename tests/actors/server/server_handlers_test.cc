// What a handle() may look like, and what it can ask of its request.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

struct Get {};
struct Later {};
struct Seen {};
struct End {};

struct ConstDown {
  int* downs;
  void handle(const Down&) const { ++*downs; }
};
struct TalkingDown {
  int* downs;
  int handle(const Down&) { return ++*downs; }
};
struct StaticDown {
  static inline int downs = 0;
  static void handle(const Down&) { ++downs; }
};
struct ConstAny {
  int* messages;
  void handle(Message&) const { ++*messages; }
};
struct AnyToLookAt {
  int* messages;
  void handle(const Message&) { ++*messages; }
};

template <class S>
void send_down_to(const ServerRef<S>& server) {
  send(server.pid(), Down{MonitorRef(), self(), Reason::normal});
  yield();
}

TEST(Handlers, OfMailMayBeConstOrStaticOrReturnSomething) {
  in_actor([] {
    int downs = 0;
    send_down_to(start<ConstDown>(&downs));
    EXPECT_EQ(downs, 1);
    send_down_to(start<TalkingDown>(&downs));
    EXPECT_EQ(downs, 2);
    send_down_to(start<StaticDown>());
    EXPECT_EQ(StaticDown::downs, 1);
    send_down_to(start<ConstAny>(&downs));
    EXPECT_EQ(downs, 3);
    send_down_to(start<AnyToLookAt>(&downs));
    EXPECT_EQ(downs, 4);
  });
}

// Declarations that would compile and never be looked at: make_server refuses their servers.
struct Plain {
  static constexpr bool trap_exits = false;
  void terminate(const ExitReason&) {}
  void handle(const Message&) {}
};
struct TerminateOfNothing {
  void terminate() {}
};
struct TrapExitsOfAnObject {
  bool trap_exits = true;
};
struct TrapExitsOfAVariable {
  static inline bool trap_exits = true;
};
struct AnyByValue {
  void handle(Message) {}
};
struct AnyByMove {
  void handle(Message&&) {}
};
static_assert(!detail::has_lost_terminate<Plain> && !detail::has_lost_terminate<ConstAny>);
static_assert(detail::has_lost_terminate<TerminateOfNothing>);
static_assert(!detail::has_lost_trap_exits<Plain> && !detail::has_lost_trap_exits<ConstAny>);
static_assert(detail::has_lost_trap_exits<TrapExitsOfAnObject>);
static_assert(detail::has_lost_trap_exits<TrapExitsOfAVariable>);
static_assert(!detail::has_lost_catch_all<Plain> && !detail::has_lost_catch_all<ConstAny>);
static_assert(detail::has_lost_catch_all<AnyByValue> && detail::has_lost_catch_all<AnyByMove>);

struct Named {
  std::string name = "name";
  const std::string& handle(const Get&) const { return name; }
};

TEST(Handlers, MayReturnAReferenceOfWhichTheCallerGetsACopy) {
  in_actor([] { EXPECT_EQ(call(start<Named>(), Get{}), "name"); });
}

struct DefersConst {
  void handle(const Later&, ReplyTo<int> reply) const { reply.reply(1); }
};
struct DefersByReference {
  void handle(Later, ReplyTo<int>&& reply) { reply.reply(2); }
};
struct Inherits : DefersConst {};

TEST(Handlers, ThatReplyLaterMayBeConstOrInherited) {
  in_actor([] {
    EXPECT_EQ(call(start<DefersConst>(), Later{}), 1);
    EXPECT_EQ(call(start<DefersByReference>(), Later{}), 2);
    EXPECT_EQ(call(start<Inherits>(), Later{}), 1);
  });
}

struct Asks {
  Pid told;
  void handle(const Later&, ReplyTo<bool> reply) {
    const bool before = request_cancelled();
    receive([](End) {});
    send(told, request_cancelled());
    reply.reply(before);
  }
  void handle(const Get&) { send(told, request_cancelled()); }
};

TEST(Handlers, ThatReplyLaterMayAskWhetherSomebodyStillWaits) {
  in_actor([] {
    const auto server = start<Asks>(self());
    const Monitored caller = spawn_monitor([server] { call(server, Later{}); });
    yield();
    exit(caller.pid, Reason::kill);
    EXPECT_EQ(end_of(caller), Reason::killed);
    send(server.pid(), End{});
    EXPECT_TRUE(next<bool>()) << "the caller is gone";
    cast(server, Later{});
    yield();
    send(server.pid(), End{});
    EXPECT_FALSE(next<bool>()) << "nobody ever waited";
    cast(server, Get{});
    EXPECT_FALSE(next<bool>());
  });
}

struct Job {
  ReplyTo<int> reply;
};
struct HandsOn {
  Pid worker;
  void handle(const Get&, ReplyTo<int> reply) { send(worker, Job{std::move(reply)}); }
};

struct Peeks {
  std::vector<std::string> seen;
  std::string handle(const Get&) {
    // A cast and a call are there before what was sent.
    receive([&](const Later&) { seen.push_back("later"); }, [&](Message&) { seen.push_back("?"); });
    return "got";
  }
  void handle(const Later&) { seen.push_back("cast"); }
  std::vector<std::string> handle(const Seen&) { return seen; }
};

TEST(Handlers, ReceiveNothingThatIsForOtherHandlers) {
  in_actor([] {
    const auto server = start<Peeks>();
    const auto asker = green::spawn([&] { return call(server, Get{}); });
    yield();
    cast(server, Later{});
    const auto other = green::spawn([&] { return call(server, Seen{}); });
    yield();
    send(server.pid(), 1);
    EXPECT_EQ(asker.get(), "got");
    EXPECT_EQ(other.get(), (std::vector<std::string>{"?", "cast"}));
  });
}

TEST(Handlers, AReplyThatIsDroppedByACaughtExceptionFailsItsCaller) {
  in_actor([] {
    const Pid worker = spawn([] {
      for (;;) {
        try {
          receive([](const Job&) { throw std::runtime_error("job"); });
        } catch (const std::exception&) {  // and goes on
        }
      }
    });
    const auto server = start<HandsOn>(worker);
    EXPECT_EQ(try_call(server, Get{}, Wait::forever()).reason().tag(), "no_reply");
    EXPECT_TRUE(is_alive(worker));
    exit(worker, Reason::kill);
  });
}

}  // namespace
}  // namespace greenroom
