// Replies that come later or never, and calls that wait for each other.

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

// ReplyTo.

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

TEST_P(Server, MayReplyAndStop) {
  on_hubs(2, [] {
    const auto server = start<StopsWithReply>(SpawnOptions{.place = place()}, self());
    const MonitorRef ref = monitor(server.pid());
    EXPECT_EQ(call(server, StopsWithReply::Ask{}), 1);
    EXPECT_EQ(end_of(ref), Reason::normal);
    EXPECT_EQ(next<ExitReason>(), Reason::normal);
  });
}

// Deadlocks.

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

TEST(Deadlock, OfACallToOneselfIsCallingSelf) {
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

}  // namespace
}  // namespace greenroom
