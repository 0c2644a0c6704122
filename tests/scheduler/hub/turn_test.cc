// Turn: hub work with a place among the ready tasks.
#include "greenroom/scheduler/hub/turn.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/green.h"

namespace greenroom {
namespace {

using detail::Turn;

// Resumes waiters in its place, one after another.
struct Resumer final : Turn {
  explicit Resumer(std::string& text) : Turn(&run, &destroy), trace(text) {}
  static void run(Turn& turn) noexcept {
    auto& self = static_cast<Resumer&>(turn);
    self.trace += "turn ";
    if (self.act) self.act();
    while (!self.waiters.empty()) {
      const detail::Waker waker = self.waiters.front();
      self.waiters.pop_front();
      if (self.resume_first(waker)) return;
    }
  }
  static void destroy(Turn& turn) noexcept {
    auto& self = static_cast<Resumer&>(turn);
    self.trace += "gone ";
    delete &self;
  }
  std::string& trace;
  std::deque<detail::Waker> waiters = {};
  std::function<void()> act = {};
};

// A primitive, and so a function of its own: see park().
[[gnu::noinline]] void wait_for(Resumer& resumer) {
  detail::Task& self = detail::enter_blocking_call();
  const detail::Waiting waiting(self);
  resumer.waiters.push_back(waiting.waker());
  if (detail::park("test") == detail::ParkResult::interrupted) detail::throw_pending();
}

struct Scene {
  ~Scene() {
    while (Hub::current().task_count() > 1) yield();
    drop_reference(resumer);
  }
  std::string trace;
  Resumer& resumer = *new Resumer(trace);

  green::Greenlet<> say(std::string word) {
    return green::spawn([this, word = std::move(word)] { trace += word + " "; });
  }
  green::Greenlet<> waiter(std::string word) {
    return green::spawn([this, word = std::move(word)] {
      wait_for(resumer);
      trace += word + " ";
      say(word + "'s");
    });
  }
};

TEST(Turn, RunsBehindWhatWasReadyAndBeforeWhatBecomesSo) {
  Scene scene;
  scene.say("a");
  EXPECT_TRUE(scene.resumer.call(Hub::current()));
  EXPECT_TRUE(scene.resumer.call(Hub::current()));  // it has its place
  scene.say("b");
  yield();
  EXPECT_EQ(scene.trace, "a turn b ");
  EXPECT_FALSE(scene.resumer.is_called());
}

TEST(Turn, ResumesWaitersInItsPlaceAheadOfWhatTheyMakeReady) {
  Scene scene;
  scene.waiter("first");
  scene.waiter("second");
  yield();
  scene.say("a");
  scene.resumer.call(Hub::current());
  scene.say("b");
  yield();
  yield();
  EXPECT_EQ(scene.trace, "a turn first turn second turn b first's second's ");
}

TEST(Turn, PassesOverAWaiterWhoseWaitIsOver) {
  Scene scene;
  const auto killed = scene.waiter("killed");
  scene.waiter("second");
  yield();
  killed.kill();
  scene.resumer.call(Hub::current());
  yield();
  EXPECT_EQ(scene.trace, "turn second turn ");
}

TEST(Turn, IsHubWorkWhereNothingMayBlock) {
  Scene scene;
  scene.resumer.act = [&] {
    EXPECT_EQ(Hub::current().current_task(), nullptr);
    EXPECT_THROW(yield(), std::logic_error);
    scene.say("spawned");
  };
  scene.resumer.call(Hub::current());
  yield();
  yield();
  EXPECT_EQ(scene.trace, "turn spawned ");
}

TEST(Turn, ThatItsOwnerHasGivenUpIsGoneOnceItHasRun) {
  std::string trace;
  auto& resumer = *new Resumer(trace);
  resumer.call(Hub::current());
  drop_reference(resumer);
  EXPECT_EQ(trace, "");
  yield();
  EXPECT_EQ(trace, "turn gone ");
}

struct CallsAtItsEnd {
  explicit CallsAtItsEnd(Resumer& turn) : resumer(turn) {}
  ~CallsAtItsEnd() {
    EXPECT_TRUE(resumer.call(Hub::current()));
    drop_reference(resumer);
  }
  Resumer& resumer;
};

TEST(Turn, ThatWasCalledForBeforeItsHubEndedIsRun) {
  std::string trace;
  std::thread([&] {
    auto& resumer = *new Resumer(trace);
    resumer.call(Hub::current());
    drop_reference(resumer);
  }).join();
  EXPECT_EQ(trace, "turn gone ");
}

TEST(Turn, IsRunByTheEndOfItsHubWhenAGreenletCalledForItThere) {
  std::string trace;
  std::thread([&] {
    auto& resumer = *new Resumer(trace);
    green::spawn([&resumer] {
      const CallsAtItsEnd calls(resumer);
      green::Event().wait();
    });
    yield();
  }).join();
  EXPECT_EQ(trace, "turn gone ");
}

}  // namespace
}  // namespace greenroom
