// Greenlets of other threads, and of threads that end.

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/hub/hub.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Event;
using green::Greenlet;
using green::spawn;
using green::spawn_later;

TEST(OtherHubs, MayGetAndKill) {
  const Hold hold = green::get_hub().hold();
  Event done;
  auto value = spawn([] {
    sleep(1ms);
    return 5;
  });
  auto victim = spawn([] { sleep(1h); });
  std::thread thread([&] {
    const Hold other_hold = green::get_hub().hold();
    EXPECT_EQ(value.get(), 5);
    victim.kill();
    EXPECT_TRUE(victim.ready());
    done.set();
  });
  EXPECT_TRUE(done.wait());
  thread.join();
}

// The joiner's thread, hub and root greenlet are gone when the greenlet ends.
TEST(OtherHubs, AJoinerThatTimedOutMayEndWithItsThread) {
  Event gate;
  auto target = spawn([&] { gate.wait(); });
  const Hold hold = green::get_hub().hold();
  Event has_given_up;
  std::thread thread([&] {
    EXPECT_FALSE(target.join(1ms));
    has_given_up.set();
  });
  has_given_up.wait();  // this hub runs meanwhile, and takes the joiner in
  thread.join();
  gate.set();
  EXPECT_TRUE(target.join());
}

TEST(OtherHubs, GreenletsOfAThreadEndWithIt) {
  bool unwound = false;
  struct Note {
    bool& flag;
    ~Note() { flag = true; }
  };
  std::thread([&] {
    spawn([&] {
      const Note note{unwound};
      sleep(1h);
    });
    spawn_later(1h, [] {});
    yield();
  }).join();
  EXPECT_TRUE(unwound);
}

// A detached timeout fires while the root waits for the last greenlets.
TEST(OtherHubs, AThreadMayEndWithATimeoutThatHasFired) {
  bool unwound = false;
  std::thread([&] {
    spawn([&] {
      try {
        sleep(1h);
      } catch (const green::GreenletExit&) {
        const Uncancellable busy;
        sleep(10ms);
        unwound = true;
        throw;
      }
    });
    yield();
    Timeout::start_detached(5ms);  // last: nothing else may throw it, however slow the machine
  }).join();
  EXPECT_TRUE(unwound);
}

// One of those that start so late is started by the end of another.
TEST(OtherHubs, NothingIsLeftOfWhatAnEndingHubsLatecomerStarts) {
  const auto held = std::make_shared<int>();
  struct Starter {
    std::shared_ptr<int> held;
    ~Starter() {
      spawn([held = held] { sleep(1h); });
    }
  };
  std::thread([&] {
    spawn([&] {
      try {
        sleep(1h);
      } catch (const green::GreenletExit&) {
        green::get_hub().post(
            [&] { spawn([starter = std::make_shared<Starter>(Starter{held})] {}); });
        throw;
      }
    });
    yield();
  }).join();
  EXPECT_EQ(held.use_count(), 1);
}

TEST(OtherHubs, WhatAPostToAnEndingHubStartsEndsAsKilled) {
  bool has_run = false;
  Greenlet<> now;
  Greenlet<> later;
  std::thread([&] {
    green::get_hub().post([&] {
      now = spawn([&] { has_run = true; });
      later = spawn_later(1h, [&] { has_run = true; });
    });
  }).join();
  for (const Greenlet<>& greenlet : {now, later}) {
    EXPECT_TRUE(greenlet.ready());
    EXPECT_TRUE(greenlet.successful());
    EXPECT_TRUE(greenlet.join());
    greenlet.kill();
  }
  EXPECT_FALSE(has_run);
}

// The greenlet, its hub and its thread go while another hub asks for them.
TEST(OtherHubs, MayJoinAndKillWhileTheThreadEnds) {
  constexpr int rounds = 300;
  const Hold hold = green::get_hub().hold();
  for (int round = 0; round < rounds; ++round) {
    std::promise<Greenlet<>> promise;
    std::thread thread([&] {
      const auto greenlet = spawn([] { yield(); });
      promise.set_value(greenlet);
      if (round % 3 == 0) yield();
    });
    const Greenlet<> greenlet = promise.get_future().get();
    if (round % 2 == 0) greenlet.kill();
    EXPECT_TRUE(greenlet.join());
    thread.join();
  }
}

std::size_t observers_of(const Greenlet<>& greenlet) {
  std::size_t count = 0;
  const detail::ExitObserver& head = greenlet.task().observers;
  for (const detail::ExitObserver* one = head.next; one != &head; one = one->next) ++count;
  return count;
}

TEST(OtherHubs, AJoinThatIsLeftEarlyLeavesNothingBehind) {
  const Hold hold = green::get_hub().hold();
  Event gate;
  const Greenlet<> target = spawn([&] {
    const Uncancellable busy;
    gate.wait();
  });
  Event has_given_up;
  std::thread thread([&] {
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(target.join(1us));
    EXPECT_FALSE(try_for(1us, [&] { target.join(); }));
    EXPECT_TRUE(green::joinall({target}, 1us).empty());
    EXPECT_THROW(green::killall({target}, {}, 1us), TimeoutError);
    EXPECT_FALSE(target.ready());
    has_given_up.set();  // arrives last
  });
  has_given_up.wait();
  EXPECT_EQ(observers_of(target), 0U);
  thread.join();
  gate.set();
  EXPECT_TRUE(target.join());
}

// Half of them leave when the greenlet, or its hub, has just ended.
TEST(OtherHubs, MayLeaveAJoinWhileTheThreadEnds) {
  constexpr int rounds = 300;
  const Hold hold = green::get_hub().hold();
  for (int round = 0; round < rounds; ++round) {
    std::promise<Greenlet<>> promise;
    std::thread thread([&] {
      const auto greenlet = spawn([] { yield(); });
      promise.set_value(greenlet);
      for (int i = 0; i < round % 4; ++i) yield();
    });
    const Greenlet<> greenlet = promise.get_future().get();
    greenlet.join(std::chrono::microseconds(round % 20));
    thread.join();
    EXPECT_TRUE(greenlet.ready());
  }
}

// Each that ends starts another one, in the destructor of its callable: the hub ends all the same.
struct Hydra {
  explicit Hydra(Greenlet<>& head) : last(&head) {}
  Hydra(Hydra&& other) noexcept : last(std::exchange(other.last, nullptr)) {}
  ~Hydra() {
    if (last) *last = spawn([heir = Hydra(*last)] {});
  }
  Greenlet<>* last;
};

TEST(OtherHubs, AGreenletThatAnEndingHubDoesNotComeToHasEnded) {
  Greenlet<> last;
  std::thread([&] { green::get_hub().post([&] { const Hydra first(last); }); }).join();
  ASSERT_TRUE(last.ready());
  EXPECT_TRUE(last.join());
  last.kill();
}

// The thread gives it five seconds.
TEST(OtherHubs, AGreenletThatDoesNotEndWithItsThreadIsAbandoned) {
  testing::internal::CaptureStderr();
  std::promise<Greenlet<>> promise;
  std::thread thread([&] {
    promise.set_value(spawn([] {
      const Uncancellable busy;
      Event().wait();
    }));
    yield();
  });
  const Greenlet<> greenlet = promise.get_future().get();
  EXPECT_TRUE(greenlet.join());
  EXPECT_THROW(greenlet.get(), green::GreenletExit);
  thread.join();
  bool is_told = false;
  greenlet.on_exit([&](const Greenlet<>&) { is_told = true; });
  yield();
  EXPECT_TRUE(is_told);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("1 greenlets did not end"),
            std::string::npos);
}

// Its greenlet's hub is alive: that is enough to wait for.
TEST(OtherHubs, AThreadThatJoinsNeedsNoHold) {
  const auto target = spawn([] {
    sleep(5ms);
    return 5;
  });
  std::thread thread([&] { EXPECT_EQ(target.get(), 5); });
  EXPECT_EQ(target.get(), 5);
  thread.join();
}

}  // namespace
}  // namespace greenroom
