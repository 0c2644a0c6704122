// on_stack: a call on a large stack, in the greenlet that makes it.
#include "greenroom/scheduler/hub/on_stack.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/trace/stack_trace.h"
#include "greenroom/scheduler/trace/throw_hook.h"
#include "greenroom/testkit/testkit.h"
#include "greenroom/tests/scheduler/fiber/stack_testing.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using detail::kib;
using detail::mib;

// Uses so many bytes of stack, and a little more.
[[gnu::noinline]] int go_down(std::size_t bytes) {
  volatile char frame[1024];
  frame[0] = 1;
  const int below = bytes > sizeof frame ? go_down(bytes - sizeof frame) : 0;
  return below + frame[0];
}

template <class F>
void in_greenlet(F f) {
  green::spawn(std::move(f)).get();
}

template <class E, class F>
std::string words_of(F f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return {};
}

// The call.

TEST(OnStack, RunsDeepWorkThatAGreenletHasNoRoomFor) {
  in_greenlet([] { EXPECT_GT(on_stack(8 * mib, [] { return go_down(3 * mib); }), 3000); });
}

TEST(OnStack, StaysInTheSameGreenlet) {
  in_greenlet([] {
    const detail::Task* const me = Hub::current().current_task();
    EXPECT_EQ(on_stack(mib, [] { return Hub::current().current_task(); }), me);
  });
}

TEST(OnStack, GivesBackWhatTheFunctionReturns) {
  in_greenlet([] {
    EXPECT_EQ(
        *on_stack(mib, [owned = std::make_unique<int>(4)]() mutable { return std::move(owned); }),
        4);
    int there = 0;
    on_stack(mib, [&]() -> int& { return there; }) = 5;
    EXPECT_EQ(there, 5);
    on_stack(mib, [&] { there = 6; });
    EXPECT_EQ(there, 6);
  });
}

TEST(OnStack, WorksOnTheRootOfAThreadAndWithoutAHub) {
  yield();  // this thread has a hub now
  EXPECT_GT(on_stack(16 * mib, [] { return go_down(7 * mib); }), 3000);
  std::thread([] {
    EXPECT_GT(
        on_stack(
            16 * mib,
            [] { return go_down(6 * mib) + on_stack(16 * mib, [] { return go_down(6 * mib); }); }),
        10000);
    EXPECT_EQ(Hub::current_if_any(), nullptr);
  }).join();
}

TEST(OnStack, WorksInHubWork) {
  bool is_done = false;
  green::Event done;
  const Hold hold = Hub::current().hold();
  Hub::current().post([&] {
    is_done = on_stack(8 * mib, [] { return go_down(3 * mib); }) > 3000;
    done.set();
  });
  done.wait();
  EXPECT_TRUE(is_done);
}

TEST(OnStack, IsNested) {
  in_greenlet([] {
    const int depth = on_stack(4 * mib, [] {
      const int here = go_down(3 * mib);
      const int further = on_stack(4 * mib, [] { return go_down(3 * mib); });
      return here + further + go_down(3 * mib);
    });
    EXPECT_GT(depth, 9000);
  });
}

TEST(OnStack, StackOver256MiBIsRefused) {
  EXPECT_EQ(words_of<std::invalid_argument>([] { on_stack((256 * mib) + 1, [] {}); }),
            "greenroom: on_stack: 268435457 bytes; the largest stack has 256 MiB");
}

TEST(OnStack, LargestStackHasItsGuardIncluded) {
  in_greenlet([] { EXPECT_EQ(on_stack(256 * mib, [] { return 1; }), 1); });
}

TEST(OnStack, ZeroIsTheSizeThatTheHubsGreenletsHave) {
  in_greenlet([] {
    on_stack(0, [] {
      Hub& hub = Hub::current();
      const auto [low, high] = hub.stack_bounds(*hub.current_task());
      EXPECT_EQ(detail::StackPool::rounded(static_cast<std::size_t>(high - low)), 64 * kib);
    });
  });
}

TEST(OnStack, ErrorNumberGoesThereAndBack) {
  in_greenlet([] {
    errno = 11;
    on_stack(mib, [] {
      EXPECT_EQ(errno, 11);
      errno = 22;
    });
    EXPECT_EQ(errno, 22);
  });
}

// Parking.

TEST(OnStack, BlockingCallsAreRefusedWhetherOrNotTheyWouldWait) {
  in_greenlet([] {
    green::Event event;
    green::Lock lock;
    on_stack(mib, [&] {
      EXPECT_THROW(yield(), std::logic_error);
      EXPECT_THROW(sleep(1ns), std::logic_error);
      EXPECT_THROW(event.wait(), std::logic_error);
      EXPECT_THROW(lock.lock(), std::logic_error);
      EXPECT_NE(words_of<std::logic_error>([] { yield(); }).find("in on_stack()"),
                std::string::npos);
      event.set();
      EXPECT_THROW(event.wait(), std::logic_error);
      on_stack(mib, [] { EXPECT_THROW(yield(), std::logic_error); });
      EXPECT_THROW(yield(), std::logic_error);
    });
    EXPECT_TRUE(event.wait());
    yield();
  });
}

TEST(OnStack, BlockingCallsAreRefusedWithoutAHubAlso) {
  std::thread([] {
    on_stack(mib, [] {
      EXPECT_NE(words_of<std::logic_error>([] { yield(); }).find("in on_stack()"),
                std::string::npos);
    });
    yield();
  }).join();
}

TEST(OnStack, OthersMayParkAfterIt) {
  in_greenlet([] {
    int turns = 0;
    auto other = green::spawn([&] {
      for (; turns < 3; ++turns) yield();
    });
    on_stack(mib, [&] {
      green::spawn([] {});
      EXPECT_EQ(turns, 0);
    });
    other.join();
    EXPECT_EQ(turns, 3);
  });
}

// A kill that is pending waits for the first blocking call that is not refused.
TEST(OnStack, PendingKillIsThrownAfterIt) {
  bool was_refused = false;
  bool has_returned = false;
  auto self = green::spawn([&] {
    on_stack(mib, [&] {
      detail::throw_into(*Hub::current().current_task(),
                         std::make_exception_ptr(green::GreenletExit()));
      try {
        yield();
      } catch (const std::logic_error&) {
        was_refused = true;
      }
    });
    has_returned = true;
    yield();
    ADD_FAILURE() << "it was killed";
  });
  self.join();
  EXPECT_TRUE(was_refused);
  EXPECT_TRUE(has_returned);
}

// Exceptions.

TEST(OnStack, ExceptionPassesThrough) {
  in_greenlet([] {
    EXPECT_EQ(words_of<std::runtime_error>([] {
                on_stack(mib, [] { on_stack(mib, [] { throw std::runtime_error("deep down"); }); });
              }),
              "deep down");
    EXPECT_THROW(on_stack(mib, []() -> int { throw 5; }), int);
    EXPECT_EQ(on_stack(mib, [] { return 7; }), 7);
  });
}

TEST(OnStack, FunctionIsInItsCallersHandlers) {
  in_greenlet([] {
    try {
      throw std::runtime_error("above");
    } catch (const std::runtime_error&) {
      EXPECT_EQ(words_of<std::runtime_error>([] { on_stack(mib, [] { throw; }); }), "above");
      on_stack(mib, [] { EXPECT_TRUE(std::current_exception()); });
      EXPECT_EQ(words_of<std::runtime_error>([] { throw; }), "above");
    }
    EXPECT_FALSE(std::current_exception());
    EXPECT_EQ(std::uncaught_exceptions(), 0);
  });
}

[[gnu::noinline]] void throw_deep_down() { throw std::runtime_error("deep down"); }
[[gnu::noinline]] void call_deep_down() {
  on_stack(mib, [] { throw_deep_down(); });
  asm volatile("");
}

TEST(OnStack, StackTraceOfTheThrowSaysWhoCalled) {
  in_greenlet([] {
    try {
      call_deep_down();
    } catch (const std::runtime_error&) {
      const detail::StackTrace* trace = detail::trace_of_current_exception();
      ASSERT_NE(trace, nullptr);
      const std::string text = to_string(*trace);
      EXPECT_NE(text.find("throw_deep_down"), std::string::npos) << text;
      EXPECT_NE(text.find("call_deep_down"), std::string::npos) << text;
    }
  });
}

// Whichever of the two stacks lies higher.
[[gnu::noinline]] std::string stack_of_caller(std::size_t bytes) {
  std::string text = on_stack(bytes, [] { return to_string(detail::capture_stack_trace()); });
  asm volatile("");
  return text;
}

TEST(OnStack, StackTraceGoesOnAcrossBothWays) {
  in_greenlet([] {
    const auto text = on_stack(8 * mib, [] { return stack_of_caller(64 * kib); });
    EXPECT_NE(text.find("stack_of_caller"), std::string::npos) << text;
    EXPECT_NE(text.find("StackTraceGoesOnAcrossBothWays"), std::string::npos) << text;
    EXPECT_NE(stack_of_caller(8 * mib).find("stack_of_caller"), std::string::npos);
  });
}

// Stacks.

TEST(OnStack, BoundsAreThoseOfTheStackInUse) {
  in_greenlet([] {
    Hub& hub = Hub::current();
    const detail::Task& me = *hub.current_task();
    const auto room = [&] {
      const auto [low, high] = hub.stack_bounds(me);
      const void* const here = __builtin_frame_address(0);
      EXPECT_LT(static_cast<const void*>(low), here);
      EXPECT_LT(here, static_cast<const void*>(high));
      return static_cast<std::size_t>(high - low);
    };
    EXPECT_LT(room(), 64 * kib);
    on_stack(mib, [&] {
      const std::size_t outer = room();
      EXPECT_GE(outer, mib);
      EXPECT_LT(outer, 2 * mib);
      on_stack(2 * mib, [&] { EXPECT_GE(room(), 2 * mib); });
      EXPECT_EQ(room(), outer);
    });
    EXPECT_LT(room(), 64 * kib);
  });
}

TEST(OnStack, StackGoesBackToThePoolAndIsUsedAgain) {
  in_greenlet([] {
    const auto place = [] { return on_stack(4 * mib, [] { return __builtin_frame_address(0); }); };
    const void* const first = place();
    const std::size_t live = Hub::current().stacks().statistics().live;
    for (int i = 0; i < 100; ++i) EXPECT_EQ(place(), first);
    EXPECT_THROW(on_stack(4 * mib, [] { throw 1; }), int);
    EXPECT_EQ(place(), first);
    EXPECT_EQ(Hub::current().stacks().statistics().live, live);
  });
}

TEST(OnStack, MemoryGoesBackBeforeTheHubSleeps) {
  if (detail::is_sanitized) GTEST_SKIP() << "the sanitizers keep more";
  in_greenlet([] {
    const auto resident = [] {
      std::ifstream status("/proc/self/statm");
      std::size_t size = 0;
      std::size_t pages = 0;
      status >> size >> pages;
      return pages * detail::page;
    };
    const std::size_t before = resident();
    on_stack(32 * mib, [] { return go_down(30 * mib); });
    EXPECT_GT(resident(), before + 25 * mib);
    sleep(1ms);
    EXPECT_LT(resident(), before + 5 * mib);
  });
}

TEST(OnStack, InASimulationChangesNothing) {
  const auto order = [](bool is_deep) {
    std::string text;
    testkit::simulate({.seed = 7}, [&] {
      std::vector<green::Greenlet<>> all;
      for (char name = 'a'; name < 'f'; ++name) {
        all.push_back(green::spawn([&text, name, is_deep] {
          for (int i = 0; i < 3; ++i) {
            text += is_deep ? on_stack(8 * mib, [name] { return go_down(mib) > 0 ? name : '?'; })
                            : name;
            yield();
          }
        }));
      }
      green::joinall(all);
    });
    return text;
  };
  EXPECT_EQ(order(true), order(false));
}

// Overflow.

TEST(OnStackDeathTest, OverflowNamesTheGreenletAndWhoCalled) {
  if (detail::is_sanitized) GTEST_SKIP() << "the sanitizers handle faults themselves";
  EXPECT_DEATH(in_greenlet([] { on_stack(256 * kib, [] { return go_down(2 * mib); }); }),
               "stack overflow in greenlet(.|\n)*go_down");
}

TEST(OnStackDeathTest, ExitInItIsToldAndLeavesTheStack) {
  if (detail::is_sanitized) GTEST_SKIP() << "what is left is a leak";
  EXPECT_EXIT(
      {
        yield();
        on_stack(mib, [] { std::exit(3); });
      },
      testing::ExitedWithCode(3), "std::exit\\(\\) was called inside root greenlet");
}

}  // namespace
}  // namespace greenroom
