#include "greenroom/scheduler/trace/throw_hook.h"

#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <typeinfo>
#include <vector>

#include "gtest/gtest.h"

namespace {

using greenroom::detail::exclude_from_throw_capture;
using greenroom::detail::set_throw_capture;
using greenroom::detail::set_throw_capture_limit;
using greenroom::detail::StackTrace;
using greenroom::detail::throw_capture_counters;
using greenroom::detail::to_string;
using greenroom::detail::trace_of;
using greenroom::detail::trace_of_current_exception;

constexpr std::uint32_t no_limit = 1'000'000'000;

class ThrowHook : public testing::Test {
 protected:
  ThrowHook() {
    set_throw_capture(true);
    set_throw_capture_limit(no_limit);
  }
  ~ThrowHook() override { set_throw_capture(false); }
};

// Each with a different body: equal functions become one.
[[noreturn, gnu::noinline]] void throw_first() { throw std::runtime_error("first"); }
[[noreturn, gnu::noinline]] void throw_second() { throw std::logic_error("second"); }
[[noreturn, gnu::noinline]] void throw_number() { throw 42; }

[[gnu::noinline]] int read_past_the_end(const std::vector<int>& values) {
  const int value = values.at(values.size() + 1);
  asm volatile("");
  return value;
}

std::string current_text() {
  const StackTrace* trace = trace_of_current_exception();
  return trace != nullptr ? to_string(*trace) : "no trace";
}

std::string text_of(const std::exception_ptr& exception) {
  const StackTrace* trace = trace_of(exception);
  return trace != nullptr ? to_string(*trace) : "no trace";
}

template <class Body>
std::string text_of_throw(Body body) {
  try {
    body();
  } catch (...) {
    return current_text();
  }
  return "no exception";
}

template <class Body>
std::exception_ptr catch_from(Body body) {
  try {
    body();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess() << text;
  return testing::AssertionFailure() << "no " << part << " in\n" << text;
}

TEST_F(ThrowHook, TellsWhereTheExceptionWasThrown) {
  const std::string text = text_of_throw(throw_first);
  EXPECT_EQ(text.find("    at (anonymous namespace)::throw_first() "), 0u) << text;
  EXPECT_TRUE(contains(text, "throw_hook_test.cc:"));
  EXPECT_TRUE(contains(text, "TestBody()"));
}

TEST_F(ThrowHook, TellsWhichFunctionMadeTheStandardLibraryThrow) {
  const std::string text = text_of_throw([] { read_past_the_end({1, 2, 3}); });
  EXPECT_TRUE(contains(text, "read_past_the_end(std::vector<int> const&)"));
  EXPECT_TRUE(contains(text, "TestBody()"));
  EXPECT_FALSE(contains(text, "__cxa_throw"));
}

TEST_F(ThrowHook, ExceptionsBehaveAsWithoutIt) {
  EXPECT_THROW(throw_number(), int);
  EXPECT_THROW(throw_first(), std::exception);
  try {
    throw_first();
  } catch (const std::exception& error) {
    EXPECT_STREQ(error.what(), "first");
  }
  EXPECT_EQ(std::uncaught_exceptions(), 0);
}

TEST_F(ThrowHook, TracesWhatHasNoDestructor) {
  EXPECT_TRUE(contains(text_of_throw(throw_number), "throw_number()"));
}

TEST_F(ThrowHook, RethrowKeepsTheFirstStack) {
  const std::string text = text_of_throw([] {
    try {
      throw_first();
    } catch (...) {
      throw;
    }
  });
  EXPECT_TRUE(contains(text, "throw_first()"));
}

TEST_F(ThrowHook, RethrowingAnExceptionPtrKeepsTheFirstStack) {
  const std::exception_ptr exception = catch_from(throw_first);
  const std::string text = text_of_throw([&] { std::rethrow_exception(exception); });
  EXPECT_TRUE(contains(text, "throw_first()"));
  EXPECT_EQ(text, text_of(exception));
}

TEST_F(ThrowHook, KeepsExceptionsApartThatLiveTogether) {
  std::vector<std::exception_ptr> first;
  std::vector<std::exception_ptr> second;
  for (int i = 0; i < 3000; ++i) {  // more than the table has buckets
    first.push_back(catch_from(throw_first));
    second.push_back(catch_from(throw_second));
  }
  for (const auto& exception : first) ASSERT_TRUE(contains(text_of(exception), "throw_first()"));
  for (const auto& exception : second) ASSERT_TRUE(contains(text_of(exception), "throw_second()"));
}

struct ThrowsAndCatchesWhenDestroyed {
  std::string* text;
  ~ThrowsAndCatchesWhenDestroyed() { *text = text_of_throw(throw_second); }
};

TEST_F(ThrowHook, AnExceptionInADestructorDuringUnwindingIsAnotherOne) {
  std::string inner;
  const std::string outer = text_of_throw([&] {
    const ThrowsAndCatchesWhenDestroyed guard{&inner};
    throw_first();
  });
  EXPECT_TRUE(contains(inner, "throw_second()"));
  EXPECT_FALSE(contains(inner, "throw_first()"));
  EXPECT_TRUE(contains(outer, "throw_first()"));
  EXPECT_FALSE(contains(outer, "throw_second()"));
}

TEST_F(ThrowHook, InNestedHandlersTheInnerExceptionIsTheCurrentOne) {
  try {
    throw_first();
  } catch (...) {
    EXPECT_TRUE(contains(text_of_throw(throw_second), "throw_second()"));
    EXPECT_TRUE(contains(current_text(), "throw_first()"));
  }
}

TEST_F(ThrowHook, NothingIsKnownOfNoException) {
  EXPECT_EQ(trace_of_current_exception(), nullptr);
  EXPECT_EQ(trace_of(nullptr), nullptr);
}

// The life of a trace.

struct Counted {
  explicit Counted(int* destroyed) : destroyed(destroyed) {}
  Counted(const Counted&) = delete;
  ~Counted() { ++*destroyed; }
  int* destroyed;
};

TEST_F(ThrowHook, ADestructorRunsExactlyOnce) {
  int destroyed = 0;
  std::exception_ptr exception = catch_from([&] { throw Counted(&destroyed); });
  ASSERT_NE(trace_of(exception), nullptr);
  EXPECT_EQ(destroyed, 0);
  exception = nullptr;
  EXPECT_EQ(destroyed, 1);
}

const void* address_of(const std::exception_ptr& exception) {
  static_assert(sizeof exception == sizeof(void*));
  return *reinterpret_cast<const void* const*>(&exception);
}

// Both at the same address, unless the allocator keeps freed blocks back (AddressSanitizer does).
template <class Later>
void expect_no_trace_at_reused_address(Later later) {
  bool was_reused = false;
  for (int i = 0; i < 100 && !was_reused; ++i) {
    std::exception_ptr earlier = catch_from([] { throw std::runtime_error("earlier"); });
    ASSERT_NE(trace_of(earlier), nullptr);
    const void* address = address_of(earlier);
    earlier = nullptr;
    const std::exception_ptr exception = later();
    was_reused = address_of(exception) == address;
    EXPECT_EQ(trace_of(exception), nullptr);
  }
}

TEST_F(ThrowHook, AnExceptionAtAReusedAddressDoesNotShowTheOldStack) {
  expect_no_trace_at_reused_address([] {
    set_throw_capture(false);
    std::exception_ptr exception = catch_from([] { throw std::runtime_error("uncaptured"); });
    set_throw_capture(true);
    return exception;
  });
  expect_no_trace_at_reused_address(
      [] { return std::make_exception_ptr(std::runtime_error("never thrown")); });
}

TEST_F(ThrowHook, ATraceIsSeenAndFreedOnAnotherThread) {
  std::exception_ptr exception = catch_from(throw_first);
  std::thread([moved = std::move(exception)]() mutable {
    EXPECT_TRUE(contains(text_of(moved), "throw_first()"));
    moved = nullptr;
  }).join();
}

TEST_F(ThrowHook, ManyThreadsThrowAtOnce) {
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      set_throw_capture(true);
      for (int round = 0; round < 500; ++round) {
        const std::exception_ptr first = catch_from(throw_first);
        const std::exception_ptr second = catch_from(throw_second);
        ASSERT_NE(trace_of(first), nullptr);
        ASSERT_NE(trace_of(second), nullptr);
        ASSERT_NE(trace_of(first)->frames[0], trace_of(second)->frames[0]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// What is captured.

TEST_F(ThrowHook, IsOffInAThreadThatDidNotAsk) {
  std::thread([] {
    EXPECT_EQ(text_of_throw(throw_first), "no trace");
    set_throw_capture(true);
    EXPECT_TRUE(contains(text_of_throw(throw_first), "throw_first()"));
    set_throw_capture(false);
    EXPECT_EQ(text_of_throw(throw_first), "no trace");
  }).join();
}

struct Steering {};
struct DerivedFromSteering : Steering {};

TEST_F(ThrowHook, LeavesOutExcludedTypesButNotTheirHeirs) {
  exclude_from_throw_capture(typeid(Steering));
  exclude_from_throw_capture(typeid(Steering));
  EXPECT_EQ(text_of_throw([] { throw Steering(); }), "no trace");
  EXPECT_TRUE(contains(text_of_throw([] { throw DerivedFromSteering(); }), "TestBody()"));
}

TEST_F(ThrowHook, CapturesAFewOfAStormAndCountsTheRest) {
  std::thread([] {
    set_throw_capture(true);
    set_throw_capture_limit(10);
    constexpr std::uint64_t thrown = 2000;
    for (std::uint64_t i = 0; i < thrown; ++i) catch_from(throw_first);
    const auto counters = throw_capture_counters();
    EXPECT_EQ(counters.captured + counters.over_limit, thrown);
    EXPECT_GE(counters.captured, 10u);
    // A second or two may begin while it runs; each brings another 10.
    EXPECT_LT(counters.captured, thrown / 2);
  }).join();
}

}  // namespace
