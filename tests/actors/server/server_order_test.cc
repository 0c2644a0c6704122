// Servers that are ready one behind another run without the hub's loop between them: nobody is to
// see that. Real hubs, as a simulation goes through the loop each time.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

using Names = std::vector<std::string>;

struct Note {
  std::string name;
};
struct YieldAndNote {
  std::string name;
};
struct Crash {};
struct IsCancelled {};

// Writes down in which order it was run.
struct Scribe {
  Names* order;
  Pid told = {};

  void handle(const Note& note) { order->push_back(note.name); }
  void handle(const YieldAndNote& note) {
    yield();
    order->push_back(note.name);
  }
  void handle(Crash) { throw std::runtime_error("crash"); }
  bool handle(IsCancelled) { return request_cancelled(); }
  void terminate(const ExitReason&) {
    if (told) send(told, request_cancelled());
  }
};

ServerRef<Scribe> scribe(Names& order) { return start<Scribe>(&order); }

TEST(ServerOrder, ServersAndActorsTakeTurnsAsTheyBecameReady) {
  in_actor([] {
    Names order;
    const std::vector<ServerRef<Scribe>> servers{scribe(order), scribe(order), scribe(order)};
    cast(servers[0], Note{"0"});
    spawn([&] { order.emplace_back("actor"); });
    cast(servers[1], Note{"1"});
    cast(servers[2], Note{"2"});
    spawn([&] {
      order.emplace_back("before");
      yield();
      order.emplace_back("after");
    });
    cast(servers[0], Note{"0 again"});  // in the slice that server 0 has anyway
    yield();
    yield();
    EXPECT_EQ(order, (Names{"0", "0 again", "actor", "1", "2", "before", "after"}));
  });
}

TEST(ServerOrder, OneThatParksInItsHandlerDoesNotHoldUpTheNext) {
  in_actor([] {
    Names order;
    const auto first = scribe(order);
    const auto second = scribe(order);
    cast(first, YieldAndNote{"first"});
    cast(first, Note{"first again"});
    cast(second, Note{"second"});
    yield();
    yield();
    EXPECT_EQ(order, (Names{"second", "first", "first again"}));
  });
}

TEST(ServerOrder, AServerWithAStackOfItsOwnRunsOnThat) {
  in_actor([] {
    Names order;
    const auto small = scribe(order);
    const auto large = start<Scribe>(SpawnOptions{.stack_size = 1 << 20}, &order);
    for (int i = 0; i < 3; ++i) {
      cast(small, Note{"small"});
      cast(large, YieldAndNote{"large"});
    }
    for (int i = 0; i < 6; ++i) yield();
    EXPECT_EQ(order, (Names{"small", "small", "small", "large", "large", "large"}));
  });
}

TEST(ServerOrder, OneThatCrashesBetweenOthersTakesNobodyAlong) {
  in_actor([] {
    Names order;
    const auto before = scribe(order);
    const auto broken = start<Scribe>(&order, self());
    const auto after = scribe(order);
    const MonitorRef ref = monitor(broken.pid());
    cast(before, Note{"before"});
    cast(broken, Crash{});
    cast(broken, Note{"never"});
    cast(after, Note{"after"});
    EXPECT_EQ(receive([&](const Down& down) {
                EXPECT_EQ(down.ref, ref);
                return down.reason;
              }).tag(),
              "error");
    yield();
    EXPECT_EQ(order, (Names{"before", "after"}));
    EXPECT_FALSE(next<bool>()) << "the caller of a cast does not leave";
  });
}

TEST(ServerOrder, AnIdleServerIsToldToExitBetweenTwoOthers) {
  in_actor([] {
    Names order;
    const auto before = scribe(order);
    const auto ended = scribe(order);
    const auto after = scribe(order);
    call(ended, IsCancelled{});
    const MonitorRef ref = monitor(ended.pid());
    cast(before, Note{"before"});
    exit(ended.pid(), Reason::shutdown);
    cast(after, Note{"after"});
    EXPECT_EQ(receive(when([&](const Down& down) { return down.ref == ref; },
                           [](const Down& down) { return down.reason; })),
              Reason::shutdown);
    yield();
    EXPECT_EQ(order, (Names{"before", "after"}));
  });
}

TEST(ServerOrder, ARequestIsForgottenWithItsHandler) {
  in_actor([] {
    Names order;
    const auto server = scribe(order);
    call(server, YieldAndNote{"done"});
    EXPECT_FALSE(call(server, IsCancelled{}));
    cast(server, IsCancelled{});
    EXPECT_FALSE(call(server, IsCancelled{}));
  });
}

}  // namespace
}  // namespace greenroom
