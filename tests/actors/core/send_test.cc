// send: the order of mail and signals, what is dropped, and what cannot be sent at all.

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

struct Go {};
struct A {
  int n = 0;
};
struct B {
  int n = 0;
};

// What a message may be.

struct Immovable {
  Immovable() = default;
  Immovable(Immovable&&) = delete;
};
struct ThrowsInDestructor {
  ~ThrowsInDestructor() noexcept(false) {}
};
using detail::Sendable;
static_assert(Sendable<int> && Sendable<std::string> && Sendable<std::unique_ptr<int>> &&
              Sendable<std::vector<std::string>> && Sendable<std::shared_ptr<const int>>);
static_assert(!Sendable<int*> && !Sendable<const char*> && !Sendable<void (*)()>);
static_assert(!Sendable<std::string_view>);
static_assert(!Sendable<int&> && !Sendable<int[3]> && !Sendable<void>);
static_assert(!Sendable<Immovable> && !Sendable<ThrowsInDestructor>);
static_assert(std::is_same_v<detail::Stored<const char*>, std::string> &&
              std::is_same_v<detail::Stored<const char (&)[4]>, std::string> &&
              std::is_same_v<detail::Stored<char*>, std::string> &&
              std::is_same_v<detail::Stored<const std::string&>, std::string>);

// Numbers without a unit would be POSIX's sleep.
template <class T>
concept CanSleep = requires(T time) {
  greenroom::sleep(time);
};
static_assert(CanSleep<std::chrono::milliseconds> && !CanSleep<int> && !CanSleep<double>);

// Send.

TEST(Send, ALiteralArrivesAsAString) {
  in_actor([] {
    send(self(), "text");
    EXPECT_EQ(next<std::string>(), "text");
    char writable[] = "buffer";
    send(self(), static_cast<char*>(writable));
    EXPECT_EQ(next<std::string>(), "buffer");
  });
}

TEST(Send, MovesAMoveOnlyValueWithoutCopies) {
  in_actor([] {
    auto value = std::make_unique<int>(7);
    const int* address = value.get();
    send(self(), std::move(value));
    EXPECT_EQ(next<std::unique_ptr<int>>().get(), address);
  });
}

TEST(Send, ValuesLargerThanABlockArriveWhole) {
  in_actor([] {
    struct Large {
      std::array<int, 10000> numbers;
    };
    auto large = std::make_unique<Large>();
    for (int i = 0; i < 10000; ++i) large->numbers[static_cast<std::size_t>(i)] = i;
    const Monitored receiver = spawn_monitor(
        [] { receive([](const Large& arrived) { EXPECT_EQ(arrived.numbers[9999], 9999); }); });
    // By value, through a few functions: more than a default stack holds.
    spawn(SpawnOptions{.stack_size = 1 << 20}, [&large, to = receiver.pid] { send(to, *large); });
    EXPECT_EQ(end_of(receiver), Reason::normal);
  });
}

TEST(Send, ByNameAndFromAThreadWithoutAHubWork) {
  in_actor([] {
    register_name("test");
    send("test", 1);
    EXPECT_EQ(next<int>(), 1);
    Hold hold = Hub::current().hold();
    std::thread foreign([test = self(), hold = std::move(hold)] {
      for (int i = 0; i < 1000; ++i) send(test, i);
    });
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(next<int>(), i);
    foreign.join();
  });
}

TEST(Send, ToTheDeadDestroysTheMessage) {
  on_hubs(2, [] {
    for (const Placement place : {Placement::here, elsewhere()}) {
      const Monitored dead = spawn_monitor(SpawnOptions{.place = place}, [] {});
      end_of(dead);
      auto owned = std::make_shared<int>(0);
      const std::weak_ptr<int> seen = owned;
      send(dead.pid, std::move(owned));
      is_alive(dead.pid);
      wait_until([&] { return seen.expired(); });
    }
  });
}

TEST(Send, MailThatIsNotReadIsDestroyedWithTheActor) {
  on_hubs(2, [] {
    for (const Placement place : {Placement::here, elsewhere()}) {
      auto owned = std::make_shared<int>(0);
      const std::weak_ptr<int> seen = owned;
      const Monitored actor =
          spawn_monitor(SpawnOptions{.place = place}, [] { receive([](Go) {}); });
      send(actor.pid, std::move(owned));
      send(actor.pid, Go{});
      end_of(actor);
      wait_until([&] { return seen.expired(); });
    }
  });
}

TEST(Send, FromManyToOneKeepsEachSendersOrder) {
  on_hubs(2, [] {
    constexpr int senders = 8;
    constexpr int messages = 500;
    for (int sender = 0; sender < senders; ++sender) {
      const SpawnOptions options{.place = sender % 2 ? Placement::next_hub : Placement::here};
      spawn(options, [sender, test = self()] {
        for (int n = 0; n < messages; ++n) {
          send(test, std::pair(sender, n));
          if (n % 50 == 0) yield();
        }
      });
    }
    std::vector<int> seen(senders, 0);
    for (int i = 0; i < senders * messages; ++i) {
      const auto [sender, n] = next<std::pair<int, int>>();
      ASSERT_EQ(n, seen[static_cast<std::size_t>(sender)]++);
    }
  });
}

enum class Peer { same_hub, other_hub };
std::ostream& operator<<(std::ostream& out, Peer peer) {
  return out << (peer == Peer::same_hub ? "to the same hub" : "to another hub");
}

class SignalOrder : public testing::TestWithParam<Peer> {
 protected:
  static Placement place() { return GetParam() == Peer::same_hub ? Placement::here : elsewhere(); }
};
INSTANTIATE_TEST_SUITE_P(Places, SignalOrder, testing::Values(Peer::same_hub, Peer::other_hub));

TEST_P(SignalOrder, MailComesBeforeATrappedExitThatWasSentLater) {
  on_hubs(2, [] {
    const Monitored target = spawn_monitor(SpawnOptions{.place = place()}, [] {
      trap_exits();
      receive([](Go) {});
      std::string order;
      while (order.size() < 3)
        receive([&](int) { order += 'm'; }, [&](const Exit&) { order += 'x'; });
      EXPECT_EQ(order, "mxm");
    });
    wait_for_state(target.pid, "parked in receive");
    send(target.pid, Go{});
    send(target.pid, 1);
    exit(target.pid, ExitReason("boom"));
    send(target.pid, 2);
    EXPECT_EQ(end_of(target), Reason::normal);
  });
}

TEST_P(SignalOrder, AnUntrappedExitActsWhileMailIsUnread) {  // reception counts, not consumption
  on_hubs(2, [] {
    const Monitored target =
        spawn_monitor(SpawnOptions{.place = place()}, [] { receive([](Go) {}); });
    for (int i = 0; i < 100; ++i) send(target.pid, i);
    exit(target.pid, ExitReason("boom"));
    send(target.pid, Go{});
    EXPECT_EQ(end_of(target), ExitReason("boom"));
  });
}

TEST_P(SignalOrder, AnExitActsThoughMailHasWokenTheReceiverBefore) {
  on_hubs(2, [] {
    const Monitored target =
        spawn_monitor(SpawnOptions{.place = place()}, [] { receive([](Go) {}); });
    wait_for_state(target.pid, "parked in receive");
    send(target.pid, 1);
    exit(target.pid, ExitReason("boom"));
    send(target.pid, Go{});
    EXPECT_EQ(end_of(target), ExitReason("boom"));
  });
}

TEST_P(SignalOrder, AnExitActsAtAYieldWithoutAReceive) {
  on_hubs(2, [] {
    const Monitored target = spawn_monitor(SpawnOptions{.place = place()}, [] {
      for (;;) yield();
    });
    exit(target.pid, ExitReason("boom"));
    EXPECT_EQ(end_of(target), ExitReason("boom"));
  });
}

TEST_P(SignalOrder, ProcessInfoSeesWhatWasSentBefore) {
  on_hubs(2, [] {
    const Pid target = spawn(SpawnOptions{.place = place()}, [] { receive([](Go) {}); });
    for (int i = 0; i < 7; ++i) send(target, i);
    EXPECT_EQ(process_info(target).mailbox_size, 7U);
    link(target);
    EXPECT_EQ(process_info(target).links, std::vector<Pid>{self()});
    unlink(target);
    EXPECT_TRUE(process_info(target).links.empty());
    send(target, Go{});
  });
}

}  // namespace
}  // namespace greenroom
