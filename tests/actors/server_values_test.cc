// What travels in calls and casts is destroyed, once: answered, late, refused, thrown upon, or
// never looked at. Counted here, as a small value that is never destroyed is no leak to a
// sanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>

#include "greenroom/tests/actors/desk.h"

namespace greenroom {
namespace {

using namespace probe;
using namespace std::chrono_literals;

std::atomic<int> living = 0;

struct Counted {
  Counted() { ++living; }
  Counted(const Counted&) { ++living; }
  Counted(Counted&&) noexcept { ++living; }
  Counted& operator=(const Counted&) = default;
  Counted& operator=(Counted&&) = default;
  ~Counted() { --living; }
};

struct Till {
  struct Take {
    Counted value;
  };
  struct Refuse {
    Counted value;
  };
  struct Keep {
    Counted value;
  };
  struct Wait {
    Counted value;
  };

  Counted handle(Take take) { return std::move(take.value); }
  Counted handle(const Refuse&) { throw std::runtime_error("closed"); }
  void handle(Keep, ReplyTo<Counted> to) { kept = std::move(to); }
  Counted handle(const Wait& wait) {
    receive([](Go) {});
    return wait.value;
  }

  ReplyTo<Counted> kept;
};

class Values : public Server {
 protected:
  static ServerRef<Till> till() {
    return start<Till>(SpawnOptions{.place = place(), .mailbox = {.messages = 1}});
  }
};

INSTANTIATE_TEST_SUITE_P(Places, Values, testing::Values(Peer::same_hub, Peer::other_hub));

TEST_P(Values, OfAnsweredCallsAreDestroyed) {
  on_hubs(2, [] {
    const auto server = till();
    call(server, Till::Take{});
    EXPECT_TRUE(try_call(server, Till::Take{}));
    std::thread foreign([&] { call(server, Till::Take{}); });
    offload([&] { foreign.join(); });
    cast(server, Till::Take{});
    end(server.pid());
  });
  EXPECT_EQ(living, 0);
}

TEST_P(Values, OfCallsThatGetNoReplyAreDestroyed) {
  on_hubs(2, [] {
    const auto thrower = till();
    EXPECT_EQ(try_call(thrower, Till::Refuse{}).reason(), Reason::error);
    EXPECT_EQ(try_call(thrower, Till::Take{}).reason(), Reason::noproc);
    cast(thrower, Till::Take{});
    const auto keeper = till();
    EXPECT_EQ(try_call(keeper, Till::Keep{}, 1ms).reason(), Reason::timeout);
    end(keeper.pid());
  });
  EXPECT_EQ(living, 0);
}

TEST_P(Values, OfLateRepliesAndUnreadRequestsAreDestroyed) {
  on_hubs(2, [] {
    const auto late = till();
    EXPECT_EQ(try_call(late, Till::Wait{}, 1ms).reason(), Reason::timeout);
    send(late.pid(), Go{});
    const auto busy = till();
    auto caller = green::spawn([&] { return try_call(busy, Till::Wait{}).reason(); });
    wait_for_state(busy.pid(), "parked in receive");
    cast(busy, Till::Take{});
    cast(busy, Till::Take{});
    end(busy.pid());
    EXPECT_EQ(caller.get(patience), Reason::killed);
    end(late.pid());
  });
  EXPECT_EQ(living, 0);
}

}  // namespace
}  // namespace greenroom
