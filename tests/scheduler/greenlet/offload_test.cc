#include "greenroom/scheduler/greenlet/offload.h"

#include <gtest/gtest.h>

#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;

TEST(Offload, ReturnsWhatTheFunctionReturned) {
  EXPECT_EQ(offload([] { return std::string("done"); }), "done");
  int runs = 0;
  offload([&runs] { ++runs; });
  EXPECT_EQ(runs, 1);
}

TEST(Offload, RethrowsWhatTheFunctionThrew) {
  EXPECT_THROW(offload([]() -> int { throw std::runtime_error("no"); }), std::runtime_error);
}

TEST(Offload, RunsOnAnotherThreadWhileOtherGreenletsRun) {
  std::promise<void> go_on;
  const auto here = std::this_thread::get_id();
  // Only a greenlet that runs meanwhile lets the function come to its end.
  auto other = green::spawn([&] { go_on.set_value(); });
  const auto there = offload([&] {
    go_on.get_future().wait();
    return std::this_thread::get_id();
  });
  EXPECT_NE(there, here);
  other.join();
}

TEST(Offload, OutstandingOneIsNoReasonForLoopExit) {
  // Nothing else is ready, armed or watched.
  EXPECT_EQ(offload([] {
              std::this_thread::yield();
              return 7;
            }),
            7);
}

TEST(Offload, OneThatEndsWhileTheHubLooksForWorkIsNoReasonForLoopExit) {
  for (int i = 0; i < testkit::scale(20'000); ++i) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(i % 1000 * 60);
    EXPECT_EQ(offload([=] {
                while (std::chrono::steady_clock::now() < end) {
                }
                return i;
              }),
              i);
  }
}

TEST(Offload, KilledGreenletLeavesAndTheResultIsDropped) {
  auto release = std::make_shared<std::promise<void>>();
  auto greenlet = green::spawn([release] { offload([release] { release->get_future().wait(); }); });
  yield();
  greenlet.kill();
  EXPECT_TRUE(greenlet.ready());
  release->set_value();
}

TEST(Offload, TimeoutEndsTheWait) {
  auto release = std::make_shared<std::promise<void>>();
  EXPECT_FALSE(try_for(1ms, [release] { offload([release] { release->get_future().wait(); }); }));
  release->set_value();
}

TEST(Offload, MoreCallsThanThreadsAllComeToTheirEnd) {
  std::vector<green::Greenlet<int>> calls;
  calls.reserve(static_cast<std::size_t>(100));
  for (int i = 0; i < 100; ++i) {
    calls.push_back(green::spawn([i] { return offload([i] { return i * i; }); }));
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(calls[static_cast<std::size_t>(i)].get(), i * i);
}

TEST(Offload, InASimulationRunsOnItsThread) {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    testkit::simulate({.seed = seed}, [] {
      EXPECT_EQ(offload([] { return 5; }), 5);
      EXPECT_THROW(offload([]() -> int { throw std::out_of_range("x"); }), std::out_of_range);
    });
  }
}

}  // namespace
}  // namespace greenroom
