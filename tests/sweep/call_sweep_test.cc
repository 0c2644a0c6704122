// A caller, a server or a helper dies at any point of a call or of a server's start.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/tests/sweep/sweep.h"

namespace greenroom::sweep {
namespace {

using namespace std::chrono_literals;

struct Account {
  struct Add {
    int n;
  };
  struct Get {};
  struct SlowAdd {
    int n;
  };
  struct LateAdd {
    int n;
  };
  std::shared_ptr<int> total;
  int handle(const Add& add) { return *total += add.n; }
  int handle(const Get&) { return *total; }
  // Blocks in the middle.
  int handle(const SlowAdd& add) {
    sleep(10ms);
    return *total += add.n;
  }
  // Another actor answers.
  void handle(const LateAdd& add, ReplyTo<int> reply) {
    spawn(anywhere(), [n = add.n, total = total, reply = std::move(reply)]() mutable {
      yield();
      reply.reply(*total += n);
    });
  }
};

// Calls in all ways. Every call comes back, with a value or a reason: that it ends at all is the
// point, as the simulation would say that it blocks for ever.
void call_all_ways(const ServerRef<Account>& account) {
  try_call(account, Account::Add{1});
  try_call(account, Account::SlowAdd{1});
  try_call(account, Account::LateAdd{1}, Wait::forever());
  try_call(account, Account::SlowAdd{1}, 5ms);
  cast(account, Account::Add{1});
  yield();
}

TEST(CallSweep, EveryCallEndsAndTheOthersGoOn) {
  sweep(4, {1, 2}, [] {
    auto total = std::make_shared<int>(0);
    const auto account = start<Account>(anywhere(), total);
    std::vector<Monitored> callers;
    callers.reserve(static_cast<std::size_t>(3));
    for (int i = 0; i < 3; ++i)
      callers.push_back(spawn_monitor(anywhere(), [account] { call_all_ways(account); }));
    join(callers);
    sleep(1s);  // what the dead have left in its mailbox
    // If the server lives, it serves.
    const Outcome<int> answer = try_call(account, Account::Get{});
    if (answer) {
      EXPECT_EQ(*answer, *total);
    } else {
      EXPECT_TRUE(answer.reason() == Reason::killed || answer.reason() == Reason::noproc)
          << answer.reason().to_string();
    }
  });
}

TEST(CallSweep, ACallerOfADyingServerGetsItsReason) {
  sweep(8, {1, 2}, [] {
    auto total = std::make_shared<int>(0);
    const auto account = start<Account>(anywhere(), total);
    const auto outcome = try_call(account, Account::SlowAdd{1}, Wait::forever());
    if (outcome) {
      EXPECT_EQ(*outcome, 1);
    } else {
      EXPECT_TRUE(outcome.reason() == Reason::killed || outcome.reason() == Reason::noproc)
          << outcome.reason().to_string();
    }
  });
}

struct Slow {
  explicit Slow(std::chrono::nanoseconds time) {
    sleep(time);
    yield();
  }
  int handle(int n) { return n; }
};

TEST(StartSweep, AStartEndsAndTheNameIsFreeAgain) {
  sweep(8, {1, 2}, [] {
    std::vector<Monitored> starters;
    starters.reserve(static_cast<std::size_t>(2));
    for (int i = 0; i < 2; ++i) {
      starters.push_back(spawn_monitor(anywhere(), [] {
        try {
          const auto slow =
              start_link<Slow>(SpawnOptions{.name = "slow", .place = Placement::next_hub}, 10ms);
          try_call(slow, 1);
          sleep(10ms);
          stop(ExitReason("done"));  // and with it the server
        } catch (const StartError& error) {
          EXPECT_TRUE(error.reason().tag() == "already_started" || error.reason() == Reason::killed)
              << error.what();
        }
      }));
    }
    join(starters);
    sleep(1s);
    EXPECT_EQ(whereis("slow"), std::nullopt);
    register_name("slow");
    unregister_name("slow");
  });
}

TEST(NameSweep, WhoWaitsForANameGetsWhoeverTakesIt) {
  sweep(8, {1, 2}, [] {
    std::vector<Monitored> waiters;
    waiters.reserve(static_cast<std::size_t>(2));
    for (int i = 0; i < 2; ++i) {
      waiters.push_back(spawn_monitor(anywhere(), [] {
        while (!try_call(ServerName<Slow>("later").waiting(), 7, Wait::forever())) {
        }
      }));
    }
    // Whoever was killed, there is a server in the end.
    for (int i = 0; i < 4; ++i) {
      try {
        if (!whereis("later")) start<Slow>(SpawnOptions{.name = "later"}, 1ms);
      } catch (const StartError& error) {
        EXPECT_EQ(error.reason(), Reason::killed);
      }
      sleep(10ms);
    }
    for (const Monitored& waiter : waiters) {
      receive(when([&](const Down& down) { return down.ref == waiter.ref; }, [](const Down&) {}),
              after(10s, [] { ADD_FAILURE() << "a waiter was forgotten"; }));
    }
  });
}

}  // namespace
}  // namespace greenroom::sweep
