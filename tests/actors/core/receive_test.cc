// receive: which message is taken, by which clause, and what stays; time limits; what a parked one
// looks at.

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

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

TEST(Receive, TakesTheOldestMatchAndLeavesTheRestInOrder) {
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

// Moving it throws as often as `throws_left` says.
struct Fragile {
  explicit Fragile(int number) : n(number) {}
  // NOLINTNEXTLINE(performance-noexcept-move-constructor): it is to throw
  Fragile(Fragile&& other) : n(other.n) {
    if (throws_left > 0 && throws_left-- > 0) throw std::runtime_error("broken");
  }
  int n;
  static inline int throws_left = 0;
};

TEST(Receive, LeavesAMessageWhoseMoveThrowsWhereItIs) {
  in_actor([] {
    send(self(), A{1});
    send(self(), Fragile(2));
    send(self(), A{3});
    const auto expect_throw = [](auto clause) {
      Fragile::throws_left = 1;
      EXPECT_THROW(receive(std::move(clause)), std::runtime_error);
      EXPECT_EQ(process_info(self()).mailbox_size, 3U);
    };
    expect_throw([](Fragile) { FAIL(); });
    expect_throw([](Fragile&&) { FAIL(); });
    expect_throw(
        when([](const Fragile& fragile) { return fragile.n == 2; }, [](Fragile) { FAIL(); }));
    EXPECT_EQ(receive([](const Fragile& fragile) { return fragile.n; }), 2);
    EXPECT_EQ(next<A>().n, 1);
    EXPECT_EQ(next<A>().n, 3);
  });
}

TEST(Receive, HasTakenAMessageOnceItsBodyRuns) {
  in_actor([] {
    for (int n = 1; n <= 4; ++n) send(self(), Fragile(n));
    EXPECT_EQ(receive([](Fragile fragile) {
                EXPECT_EQ(process_info(self()).mailbox_size, 3U);
                return fragile.n + receive([](Fragile&& next) { return next.n; });
              }),
              3);
    EXPECT_THROW(receive([](const Fragile&) { throw std::runtime_error("body"); }),
                 std::runtime_error);
    EXPECT_THROW(receive([](Fragile) { throw std::runtime_error("body"); }), std::runtime_error);
    EXPECT_TRUE(has_no_mail());
  });
}

TEST(Send, ThatThrowsAsTheMessageIsMovedHasSentNothing) {
  in_actor([] {
    Fragile fragile(1);
    Fragile::throws_left = 1;
    EXPECT_THROW(send(self(), std::move(fragile)), std::runtime_error);
    EXPECT_TRUE(has_no_mail());
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

TEST(Receive, AfterZeroLooksAtTheWholeMailboxOnce) {
  in_actor([] {
    EXPECT_TRUE(receive([](A) { return false; }, after(0s, [] { return true; })));
    for (int i = 0; i < 1000; ++i) send(self(), B{i});
    send(self(), A{1});
    EXPECT_TRUE(receive([](A) { return true; }, after(0s, [] { return false; })));
    EXPECT_TRUE(receive([](A) { return false; }, after(0s, [] { return true; })));
    EXPECT_EQ(process_info(self()).mailbox_size, 1000U);
  });
}

TEST(Receive, AfterEndsAWaitForMailThatDoesNotMatch) {
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

TEST(Receive, AfterForeverNeverComes) {
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

TEST(Receive, ParkedGoesOnWhereItStoppedAndTakesWhatComesThen) {
  // What was seen is not looked at again.
  in_actor([] {
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

TEST(Receive, TheCatchAllSeesNoRuntimeSignals) {
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

// A source that always has something.
struct Spring {
  using is_external_clause = void;  // NOLINT(readability-identifier-naming): receive()'s word
  bool try_take() { return true; }
  std::string run() { return "source"; }
  void arm(detail::Waker) {}
  void disarm() {}
};

TEST(Receive, TakesMailBeforeASourceButIsNotKeptFromItForEver) {
  in_actor([] {
    send(self(), Go{});
    int mails = 0;
    int sources = 0;
    for (int i = 0; i < 160; ++i) {
      const std::string taken = receive(Spring(), [](Go) {
        send(self(), Go{});
        return std::string("mail");
      });
      ++(taken == "mail" ? mails : sources);
    }
    EXPECT_EQ(mails, 150);
    EXPECT_EQ(sources, 10);
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
