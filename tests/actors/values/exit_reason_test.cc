// Exit reasons as values.

#include "greenroom/actors/values/exit_reason.h"

#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/actors/values/call_error.h"

namespace greenroom {
namespace {

TEST(ExitReason, ComparesTags) {
  EXPECT_EQ(ExitReason("boom"), ExitReason(std::string("boom")));
  EXPECT_EQ(ExitReason("boom", 1), ExitReason("boom", 2));
  EXPECT_EQ(ExitReason("normal"), Reason::normal);
  EXPECT_NE(ExitReason("boom"), ExitReason("bang"));
  EXPECT_NE(Reason::kill, Reason::killed);
}

TEST(ExitReason, IsQuietForNormalAndShutdownOnly) {
  for (const ExitReason& quiet : {Reason::normal, Reason::shutdown, ExitReason("shutdown", 5)})
    EXPECT_TRUE(quiet.is_quiet()) << quiet;
  for (const ExitReason& loud : {Reason::kill, Reason::killed, Reason::noproc, Reason::noconnection,
                                 Reason::timeout, Reason::deadlock, Reason::error, ExitReason("x"),
                                 ExitReason("normal", 5), ExitReason("kill", 5)})
    EXPECT_FALSE(loud.is_quiet()) << loud;
}

TEST(ExitReason, IsJustItsTagIfItHasNoDetail) {
  EXPECT_TRUE(Reason::normal.is_just("normal"));
  EXPECT_TRUE(ExitReason("boom").is_just("boom"));
  EXPECT_FALSE(Reason::normal.is_just("kill"));
  EXPECT_FALSE(ExitReason("normal", 5).is_just("normal"));
}

TEST(ExitReason, GivesItsDetailAsTheTypeItIs) {
  const ExitReason reason("boom", std::vector<int>{1, 2});
  ASSERT_TRUE(reason.detail<std::vector<int>>());
  EXPECT_EQ(reason.detail<std::vector<int>>()->size(), 2U);
  EXPECT_EQ(reason.detail<int>(), nullptr);
  EXPECT_EQ(Reason::normal.detail<int>(), nullptr);
  EXPECT_TRUE(reason.has_detail());
  EXPECT_FALSE(Reason::normal.has_detail());
  const ExitReason text("boom", "a literal");
  ASSERT_TRUE(text.detail<std::string>());
  EXPECT_EQ(*text.detail<std::string>(), "a literal");
}

TEST(ExitReason, OwnsItsTag) {
  std::string tag = "a tag that is longer than a short string";
  const ExitReason reason{std::string_view(tag)};
  tag.assign(tag.size(), 'x');
  EXPECT_EQ(reason.tag(), "a tag that is longer than a short string");
}

TEST(ExitReason, PrintsTheTagAndTheDetail) {
  struct Opaque {};
  EXPECT_EQ(Reason::shutdown.to_string(), "shutdown");
  EXPECT_EQ(ExitReason("boom", 42).to_string(), "boom: 42");
  EXPECT_NE(ExitReason("boom", Opaque()).to_string().find("Opaque"), std::string::npos);
  std::ostringstream out;
  out << ExitReason("boom", "why");
  EXPECT_EQ(out.str(), "boom: why");
}

TEST(ExitReason, IsTheSameWhenItIsShared) {
  for (const ExitReason& reason :
       {Reason::killed, Reason::normal, Reason::timeout, ExitReason("shutdown", 7)}) {
    const std::shared_ptr<const ExitReason> shared = reason.share();
    ASSERT_NE(shared, nullptr);
    EXPECT_EQ(*shared, reason);
    EXPECT_EQ(shared->has_detail(), reason.has_detail());
  }
}

TEST(ExitReason, OfAnExceptionIsErrorWithItsTypeAndText) {
  try {
    throw std::out_of_range("seven");
  } catch (...) {
    const ExitReason reason = ExitReason::from_current_exception();
    EXPECT_EQ(reason, Reason::error);
    EXPECT_EQ(reason.to_string(), "error: std::out_of_range: seven");
    EXPECT_THROW(std::rethrow_exception(reason.exception()), std::out_of_range);
  }
  EXPECT_EQ(Reason::error.exception(), nullptr);
  EXPECT_EQ(ExitReason("boom").stack(), "");
}

TEST(ExitReason, OfAThrownValueThatIsNoStdExceptionTellsItsType) {
  try {
    throw 5;
  } catch (...) {
    EXPECT_NE(ExitReason::from_current_exception().to_string().find("int"), std::string::npos);
  }
}

TEST(ExitReason, IsSharedAndDiesWithTheLastCopy) {
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = owned;
  {
    const ExitReason first("boom", std::move(owned));
    ExitReason second = Reason::normal;
    second = first;
    const ExitReason third = second;
    second = Reason::killed;
    EXPECT_EQ(seen.use_count(), 1);
  }
  EXPECT_TRUE(seen.expired());
}

TEST(ExitReason, MayBeCopiedOnManyThreads) {
  const ExitReason reason("boom", std::string("shared"));
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(4));
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([reason] {
      for (int n = 0; n < 10'000; ++n) {
        const ExitReason copy = reason;  // NOLINT(performance-unnecessary-copy-initialization)
        EXPECT_TRUE(copy.has_detail());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(CallError, TellsItsReasonInWhat) {
  const CallError error(ExitReason("closed", "for lunch"));
  EXPECT_STREQ(error.what(), "call failed: closed: for lunch");
  EXPECT_EQ(error.reason(), ExitReason("closed"));
}

}  // namespace
}  // namespace greenroom
