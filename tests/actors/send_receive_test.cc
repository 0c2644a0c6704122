// send and receive: rules R1-R4, S2-S6, and what cannot be sent at all.

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

// ---- what a message may be ----

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

// ---- send ----

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
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(next<int>(), i);  // S2
    foreign.join();
  });
}

TEST(Send, ToTheDeadDestroysTheMessage) {  // S5
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

TEST(Send, FromManyToOneKeepsEachSendersOrder) {  // S2
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

TEST_P(SignalOrder, MailComesBeforeATrappedExitThatWasSentLater) {  // S3
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

TEST_P(SignalOrder, AnUntrappedExitActsWhileMailIsUnread) {  // S3: reception, not consumption
  on_hubs(2, [] {
    const Monitored target =
        spawn_monitor(SpawnOptions{.place = place()}, [] { receive([](Go) {}); });
    for (int i = 0; i < 100; ++i) send(target.pid, i);
    exit(target.pid, ExitReason("boom"));
    send(target.pid, Go{});
    EXPECT_EQ(end_of(target), ExitReason("boom"));
  });
}

TEST_P(SignalOrder, AnExitActsAtAYieldWithoutAReceive) {  // S4
  on_hubs(2, [] {
    const Monitored target = spawn_monitor(SpawnOptions{.place = place()}, [] {
      for (;;) yield();
    });
    exit(target.pid, ExitReason("boom"));
    EXPECT_EQ(end_of(target), ExitReason("boom"));
  });
}

TEST_P(SignalOrder, ProcessInfoSeesWhatWasSentBefore) {  // S8
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

// ---- receive ----

TEST(Receive, TakesTheOldestMatchAndLeavesTheRestInOrder) {  // R1, S6
  in_actor([] {
    for (int i = 1; i <= 3; ++i) {
      send(self(), A{i});
      send(self(), B{i});
    }
    EXPECT_EQ(next<B>().n, 1);
    EXPECT_EQ(next<B>().n, 2);
    EXPECT_EQ(process_info(self()).mailbox_size, 4U);
    std::string order;
    for (int i = 0; i < 4; ++i) {
      receive([&](A a) { order += "a" + std::to_string(a.n); },
              [&](B b) { order += "b" + std::to_string(b.n); });
    }
    EXPECT_EQ(order, "a1a2a3b3");
  });
}

TEST(Receive, MailboxOrderComesFirstAndClauseOrderSecond) {
  in_actor([] {
    send(self(), B{1});
    send(self(), A{1});
    EXPECT_EQ(receive([](A) { return 'a'; }, [](B) { return 'b'; }), 'b');
    EXPECT_EQ(receive([](const A&) { return 1; }, [](A) { return 2; }), 1);
  });
}

TEST(Receive, ReturnsWhatTheBodyReturns) {
  in_actor([] {
    send(self(), A{5});
    const std::string text = receive([](A a) { return std::to_string(a.n); });
    EXPECT_EQ(text, "5");
  });
}

TEST(Receive, OfAnotherTypeOfTheSameValueDoesNotMatch) {
  in_actor([] {
    send(self(), 1L);
    send(self(), 1U);
    EXPECT_EQ(receive([](int) { return 0; }, [](unsigned) { return 2; }), 2);
    EXPECT_EQ(next<long>(), 1L);
  });
}

TEST(Receive, ByValueMovesOutAndByReferenceBorrows) {
  in_actor([] {
    auto shared = std::make_shared<int>(1);
    send(self(), shared);
    send(self(), shared);
    EXPECT_EQ(shared.use_count(), 3);
    receive([&](const std::shared_ptr<int>& borrowed) { EXPECT_EQ(borrowed.use_count(), 3); });
    EXPECT_EQ(shared.use_count(), 2);
    auto taken = receive([](std::shared_ptr<int> value) { return value; });
    EXPECT_EQ(shared.use_count(), 2);
  });
}

TEST(Receive, WhenItsGuardIsFalseLeavesTheMessage) {
  in_actor([] {
    for (int i = 0; i < 5; ++i) send(self(), i);
    const int found = receive(when([](const int& n) { return n > 2; }, [](int n) { return n; }));
    EXPECT_EQ(found, 3);
    EXPECT_EQ(process_info(self()).mailbox_size, 4U);
    for (const int expected : {0, 1, 2, 4}) EXPECT_EQ(next<int>(), expected);
  });
}

TEST(Receive, AfterZeroLooksAtTheWholeMailboxOnce) {  // R2
  in_actor([] {
    EXPECT_TRUE(receive([](A) { return false; }, after(0s, [] { return true; })));
    for (int i = 0; i < 1000; ++i) send(self(), B{i});
    send(self(), A{1});
    EXPECT_TRUE(receive([](A) { return true; }, after(0s, [] { return false; })));
    EXPECT_TRUE(receive([](A) { return false; }, after(0s, [] { return true; })));
    EXPECT_EQ(process_info(self()).mailbox_size, 1000U);
  });
}

TEST(Receive, AfterEndsAWaitForMailThatDoesNotMatch) {  // R2
  in_actor([] {
    const Pid noise = spawn([test = self()] {
      for (;;) {
        send(test, B{});
        sleep(1ms);
      }
    });
    EXPECT_TRUE(receive([](A) { return false; }, after(20ms, [] { return true; })));
    exit(noise, Reason::kill);
  });
}

TEST(Receive, AfterTakesATimePointToo) {
  in_actor([] {
    EXPECT_TRUE(receive([](A) { return false; }, after(clock::now() - 1s, [] { return true; })));
    send(self(), A{});
    EXPECT_TRUE(receive([](A) { return true; }, after(clock::now() - 1s, [] { return false; })));
  });
}

TEST(Receive, AfterForeverNeverComes) {  // R2
  in_actor([] {
    spawn([test = self()] {
      for (int i = 0; i < 10; ++i) yield();
      send(test, A{});
    });
    EXPECT_TRUE(receive([](A) { return true; }, after(Wait::forever(), [] { return false; })));
  });
}

TEST(Receive, OnlyAfterIsASleep) {
  in_actor([] { EXPECT_EQ(receive(after(1ms, [] { return 3; })), 3); });
}

TEST(Receive, ParkedGoesOnWhereItStoppedAndTakesWhatComesThen) {  // R3: what was seen is not
  in_actor([] {                                                   // looked at again
    for (int i = 0; i < 100; ++i) send(self(), i);
    int looks = 0;
    spawn([test = self()] {
      for (int i = 100; i < 110; ++i) {
        send(test, i);
        yield();
      }
      send(test, -1);
    });
    receive(when(
        [&](const int& n) {
          ++looks;
          return n < 0;
        },
        [](int) {}));
    EXPECT_EQ(looks, 111);
  });
}

TEST(Receive, TheCatchAllTellsTheTypeAndIsTakenOut) {
  in_actor([] {
    send(self(), A{4});
    receive([](Message& any) {
      EXPECT_TRUE(any.is<A>());
      EXPECT_FALSE(any.is<B>());
      EXPECT_EQ(any.as<A>().n, 4);
      EXPECT_NE(any.type_name().find('A'), std::string::npos);
    });
    EXPECT_EQ(process_info(self()).mailbox_size, 0U);
  });
}

TEST(Receive, TheCatchAllMayHaveAGuard) {
  in_actor([] {
    send(self(), A{4});
    send(self(), B{5});
    receive(when([](const Message& any) { return any.is<B>(); },
                 [](Message& any) { EXPECT_EQ(any.as<B>().n, 5); }));
    EXPECT_EQ(next<A>().n, 4);
  });
}

TEST(Receive, TheCatchAllSeesNoRuntimeSignals) {  // R4
  on_hubs(2, [] {
    const Pid there = spawn(SpawnOptions{.place = elsewhere()}, [] { receive([](Go) {}); });
    link(there);
    unlink(there);
    demonitor(monitor(there));
    is_alive(there);
    EXPECT_TRUE(has_no_mail());
    send(there, Go{});
  });
}

TEST(Receive, InABodyOfAReceiveWorks) {
  in_actor([] {
    send(self(), B{1});
    send(self(), A{1});
    send(self(), B{2});
    const int sum = receive([](A a) {
      // The outer message is taken; the inner ones see the rest.
      const int first = receive([](B b) { return b.n; });
      const int second = receive([](B b) { return b.n; }, after(0s, [] { return 100; }));
      return a.n + 10 * first + 100 * second;
    });
    EXPECT_EQ(sum, 211);
    EXPECT_TRUE(has_no_mail());
  });
}

TEST(Receive, ABodyMayBlockAndSend) {
  in_actor([] {
    send(self(), A{1});
    receive([](const A& borrowed) {
      send(self(), B{2});
      yield();
      sleep(1ms);
      EXPECT_EQ(borrowed.n, 1);
    });
    EXPECT_EQ(next<B>().n, 2);
  });
}

TEST(Receive, ABodyThatThrowsHasTakenItsMessage) {
  in_actor([] {
    send(self(), A{1});
    EXPECT_THROW(receive([](A) { throw std::runtime_error("no"); }), std::runtime_error);
    send(self(), A{2});
    EXPECT_THROW(receive([](const A&) { throw std::runtime_error("no"); }), std::runtime_error);
    EXPECT_TRUE(has_no_mail());
  });
}

TEST(Receive, LeftByATimeoutTakesNothingAndWorksAgain) {
  in_actor([] {
    send(self(), B{1});
    EXPECT_FALSE(try_for(1ms, [] { receive([](A) {}); }));
    send(self(), A{2});
    EXPECT_EQ(next<A>().n, 2);
    EXPECT_EQ(next<B>().n, 1);
  });
}

TEST(Receive, OfLambdasFunctionsAndNoexceptOnes) {
  in_actor([] {
    struct Functions {
      static int function(A a) { return a.n; }
      static int noexcept_function(B b) noexcept { return b.n; }
    };
    send(self(), A{1});
    send(self(), B{2});
    send(self(), 3L);
    int sum = 0;
    int calls = 0;
    for (int i = 0; i < 3; ++i) {
      sum += receive(&Functions::function, &Functions::noexcept_function,
                     [&calls](long n) mutable noexcept {
                       ++calls;
                       return static_cast<int>(n);
                     });
    }
    EXPECT_EQ(sum, 6);
    EXPECT_EQ(calls, 1);
  });
}

TEST(Receive, MakesAPlainGreenletAnActor) {
  in_actor([] {
    auto greenlet = green::spawn([] { return receive([](A a) { return a.n; }); });
    send(greenlet.pid(), A{9});
    EXPECT_EQ(greenlet.get(patience), 9);
  });
}

// With nothing that could ever wake it, main learns who waits for what.
TEST(ReceiveInMain, ThatNobodyCanEndIsALoopExitWithTheNames) {
  const Pid stuck = spawn(SpawnOptions{.name = "stuck one"}, [] { receive([](Go) {}); });
  try {
    receive([](A) {});
    ADD_FAILURE() << "something came";
  } catch (const green::LoopExit& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("stuck one"), std::string::npos) << text;
    EXPECT_NE(text.find("receive"), std::string::npos) << text;
  }
  // It is no end: main goes on, and so do the others.
  const MonitorRef ref = monitor(stuck);
  send(stuck, Go{});
  EXPECT_EQ(end_of(ref), Reason::normal);
}

TEST(SelfInHubWork, IsAnErrorThatSaysSo) {
  in_actor([] {
    std::string text;
    Hub::current().post([&] {
      try {
        self();
      } catch (const std::logic_error& error) {
        text = error.what();
      }
    });
    wait_until([&] { return !text.empty(); });
    EXPECT_NE(text.find("hub work"), std::string::npos);
  });
}

}  // namespace
}  // namespace greenroom
