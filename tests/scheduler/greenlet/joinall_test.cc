// joinall and its options. gevent test__greenlet.
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/trace/report_writer.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Greenlet;
using green::joinall;
using green::spawn;

struct Unusual {};

// What is on stderr is another test's matter.
void drop_reports() {
  detail::wait_for_reports();
  testing::internal::GetCapturedStderr();
}

// gevent test__greenlet: test_joinall_exception_order.
TEST(Joinall, RethrowsTheFirstFailureInTheOrderOfTheEnds) {
  auto late = spawn([] {
    for (int i = 0; i < 3; ++i) yield();
    throw std::runtime_error("late");
  });
  auto early = spawn([] { throw Unusual(); });
  testing::internal::CaptureStderr();
  EXPECT_THROW(joinall({late, early}, Wait::forever(), {.raise_error = true}), Unusual);
  EXPECT_FALSE(late.ready()) << "it ends with the first failure";
  late.join();
  drop_reports();
}

// gevent test__greenlet: test_joinall_count_raise_error.
TEST(Joinall, EndsWithTheCountBeforeAFailureThatComesLater) {
  auto fails = spawn([] {
    yield();
    yield();
    throw Unusual();
  });
  auto works = spawn([] {});
  testing::internal::CaptureStderr();
  EXPECT_EQ(joinall({fails, works}, Wait::forever(), {.count = 1, .raise_error = true}),
            std::vector<Greenlet<>>{works});
  EXPECT_THROW(joinall({fails, works}, Wait::forever(), {.raise_error = true}), Unusual);
  drop_reports();
}

TEST(Joinall, ReturnsAsManyAsWereAskedFor) {
  auto slow = spawn([] { sleep(1h); });
  auto fast = spawn([] {});
  auto faster = spawn([] {});
  faster.join();
  EXPECT_EQ(joinall({slow, fast, faster}, Wait::forever(), {.count = 1}).size(), 1u);
  EXPECT_EQ(joinall({slow, fast, faster}, Wait::forever(), {.count = 2}),
            (std::vector<Greenlet<>>{fast, faster}));
  slow.kill();
}

TEST(Joinall, TakesAnyRange) {
  const std::vector<Greenlet<int>> all{spawn([] { return 1; }), spawn([] { return 2; })};
  EXPECT_EQ(joinall(all).size(), 2u);
}

// As gevent's, which hears of the ends in turns.
TEST(Joinall, OfThoseThatHaveEndedLetsOthersRun) {
  auto ended = spawn([] {});
  ended.join();
  bool ran = false;
  spawn([&] { ran = true; });
  joinall({ended});
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace greenroom
