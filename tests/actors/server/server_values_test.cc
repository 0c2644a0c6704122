// What travels in calls and casts is destroyed, once: answered, late, refused, thrown upon, or
// never looked at. Counted here, as a small value that is never destroyed is no leak to a
// sanitizer.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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

// Can be moved so often, and throws then.
struct Fragile : Counted {
  explicit Fragile(int moves) : moves_left(moves) {}
  // NOLINTNEXTLINE(performance-noexcept-move-constructor, readability-redundant-member-init)
  Fragile(Fragile&& other) : Counted(), moves_left(other.moves_left - 1) {
    if (moves_left < 0) throw std::runtime_error("broken");
  }
  int moves_left;
};

struct Moulder {
  struct Make {
    int moves;
  };
  struct MakeLater {
    int moves;
  };
  Fragile handle(Make make) { return Fragile(make.moves); }
  void handle(MakeLater make, ReplyTo<Fragile> to) {
    try {
      to.reply(Fragile(make.moves));
    } catch (const std::runtime_error&) {  // not answered yet
      to.fail(ExitReason("botched"));
    }
  }
};

// What became of a call whose reply breaks at that move.
std::string result_of_call(const ServerRef<Moulder>& server, auto request) {
  try {
    const Outcome<Fragile> outcome = try_call(server, request);
    return outcome ? "value" : outcome.reason().to_string();
  } catch (const std::runtime_error&) {
    return "thrown to the caller";
  }
}

// On the way they break in the server, then on the hub of the caller, if that is another one, then
// in its hands.
std::vector<std::string> results_of_calls(Peer peer, auto request) {
  std::vector<std::string> results;
  for (request.moves = 0; results.empty() || results.back() != "value"; ++request.moves) {
    const auto server = start<Moulder>(
        SpawnOptions{.place = peer == Peer::same_hub ? Placement::here : elsewhere()});
    results.push_back(result_of_call(server, request));
    exit(server.pid(), Reason::kill);
    end_of(server.pid());
  }
  return results;
}

constexpr auto broken = "error: std::runtime_error: broken";
constexpr auto to_caller = "thrown to the caller";

TEST_P(Values, WhoseMoveThrowsFailTheCallOrReachTheCallerAsAnException) {
  using Results = std::vector<std::string>;
  on_hubs(2, [] {
    const bool is_far = GetParam() == Peer::other_hub;
    EXPECT_EQ(results_of_calls(GetParam(), Moulder::Make{}),
              is_far ? (Results{broken, broken, to_caller, to_caller, "value"})
                     : (Results{broken, to_caller, to_caller, "value"}));
    const Results later = results_of_calls(GetParam(), Moulder::MakeLater{});
    EXPECT_EQ(later.front(), "botched");
    EXPECT_EQ(std::count(later.begin(), later.end(), broken), is_far ? 1 : 0);
  });
  EXPECT_EQ(living, 0);
}

TEST_P(Values, WhoseMoveThrowsOnAThreadWithoutAHubFailItsCall) {
  on_hubs(2, [] {
    const auto server = start<Moulder>(SpawnOptions{.place = place()});
    std::vector<std::string> results;
    std::thread foreign([&] {
      for (int moves = 1; moves <= 4; ++moves)
        results.push_back(result_of_call(server, Moulder::Make{moves}));
    });
    offload([&] { foreign.join(); });
    EXPECT_EQ(results, (std::vector<std::string>{broken, to_caller, to_caller, "value"}));
    end(server.pid());
  });
  EXPECT_EQ(living, 0);
}

}  // namespace
}  // namespace greenroom
