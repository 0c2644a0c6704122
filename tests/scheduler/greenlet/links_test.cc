// Links: what a greenlet's end calls. gevent test__greenlet: TestLink, TestUnlink.
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/trace/report_writer.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::AsyncResult;
using green::Event;
using green::Greenlet;
using green::GreenletExit;
using green::Link;
using green::spawn;

std::string captured_reports() {
  detail::wait_for_reports();
  return testing::internal::GetCapturedStderr();
}

void turns(int count = 3) {
  for (int i = 0; i < count; ++i) yield();
}

// gevent test__order: TestM.
TEST(Link, AreCalledInTheOrderInWhichTheyWereAdded) {
  for (const int count : {1, 2, 20, 1000}) {
    std::vector<int> out;
    auto greenlet = spawn([] {});
    for (int i = 0; i < count; ++i)
      greenlet.link([&out, i](const Greenlet<>&) { out.push_back(i); });
    turns();
    ASSERT_EQ(out.size(), static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) ASSERT_EQ(out[static_cast<std::size_t>(i)], i);
  }
}

// The end has one place in the ready queue: joiners and links of all kinds run there.
TEST(Link, LinksAndJoinersRunInThePlaceOfTheEndInOneOrder) {
  std::string out;
  auto greenlet = spawn([&] { out += "body "; });
  greenlet.link([&](const Greenlet<>&) {
    out += "link ";
    spawn([&] { out += "later "; });
    yield();
    out += "link-goes-on ";
  });
  auto joiner = spawn([&] {
    greenlet.join();
    out += "joiner ";
  });
  spawn([&] {
    greenlet.rawlink([&](const Greenlet<>&) { out += "raw "; });
    greenlet.link_value([&](const Greenlet<>&) { out += "value "; });
  });
  // The body ends before the others have linked.
  spawn([&] { out += "ready-before "; });
  turns(5);
  EXPECT_EQ(out, "body joiner ready-before link raw value later link-goes-on ")
      << "the joiner found it ended";
}

TEST(Link, AJoinerBetweenTwoLinksRunsBetweenThem) {
  std::string out;
  Event gate;
  auto greenlet = spawn([&] { gate.wait(); });
  greenlet.link([&](const Greenlet<>&) { out += "first "; });
  auto joiner = spawn([&] {
    greenlet.join();
    out += "joiner ";
  });
  yield();
  greenlet.rawlink([&](const Greenlet<>&) { out += "raw "; });
  greenlet.link([&](const Greenlet<>&) { out += "last "; });
  gate.set();
  yield();  // the body has ended; its end has its place behind this greenlet
  spawn([&] { out += "behind "; });
  turns();
  EXPECT_EQ(out, "first joiner raw last behind ");
}

TEST(Link, ToAGreenletThatHasEndedRunsInALaterTurn) {
  std::string out;
  auto greenlet = spawn([] {});
  greenlet.join();
  greenlet.link([&](const Greenlet<>&) { out += "link "; });
  greenlet.rawlink([&](const Greenlet<>&) { out += "raw "; });
  EXPECT_EQ(out, "");
  yield();
  EXPECT_EQ(out, "link raw ");
}

// gevent test__greenlet: TestReturn_link_value, TestRaise_link_exception.
TEST(Link, ValueAndExceptionAreToldApartAndAKillIsAValue) {
  auto outcome_of = [](const Greenlet<>& greenlet) {
    std::string told;
    greenlet.link_value([&](const Greenlet<>&) { told += "value"; });
    greenlet.link_exception([&](const Greenlet<>&) { told += "exception"; });
    turns();
    return told;
  };
  EXPECT_EQ(outcome_of(spawn([] {})), "value");
  testing::internal::CaptureStderr();
  EXPECT_EQ(outcome_of(spawn([] { throw std::runtime_error("body"); })), "exception");
  captured_reports();
  auto killed = spawn([] { sleep(1h); });
  yield();
  killed.kill();
  EXPECT_EQ(outcome_of(killed), "value");
}

TEST(Link, GivesAHandleOfTheGreenletsOwnType) {
  auto greenlet = spawn([] { return 5; });
  int value = 0;
  greenlet.link([&](const Greenlet<int>& ended) { value = ended.get(0s); });
  turns();
  EXPECT_EQ(value, 5);
}

TEST(Link, FiresOnceForOneThatIsKilledBeforeItStarts) {
  int told = 0;
  auto greenlet = spawn([] {});
  greenlet.link([&](const Greenlet<>&) { ++told; });
  greenlet.kill();
  EXPECT_EQ(told, 0) << "in a later turn";
  turns();
  EXPECT_EQ(told, 1);
}

// Targets. gevent test__greenlet: test_link_to_asyncresult.

TEST(Link, AResultGetsTheValue) {
  AsyncResult<int> result;
  spawn([] { return 5; }).link(result);
  EXPECT_EQ(result.get(), 5);
  AsyncResult<> done;
  spawn([] {}).link(done);
  EXPECT_TRUE(done.wait());
}

TEST(Link, AResultGetsTheException) {
  struct Unusual {};
  AsyncResult<int> result;
  testing::internal::CaptureStderr();
  spawn([]() -> int { throw Unusual(); }).link(result);
  EXPECT_THROW(result.get(), Unusual);
  EXPECT_THROW(result.get(), Unusual) << "again, for every reader";
  captured_reports();
  AsyncResult<> of_killed;
  auto killed = spawn([] {});
  killed.link(of_killed);
  killed.kill();
  EXPECT_THROW(of_killed.get(), GreenletExit);
}

TEST(Link, AnEventIsSetByAFunction) {
  Event event;
  spawn([] {}).rawlink([&](const Greenlet<>&) { event.set(); });
  EXPECT_TRUE(event.wait());
}

// Errors. gevent test__greenlet: test_multiple_listeners_error.

TEST(Link, AnErrorInOneIsReportedAndDoesNotStopTheOthers) {
  std::string out;
  auto greenlet = spawn([] {});
  greenlet.link([](const Greenlet<>&) { throw std::runtime_error("of a link"); });
  greenlet.rawlink([](const Greenlet<>&) { throw std::runtime_error("of a rawlink"); });
  greenlet.link([&](const Greenlet<>&) { out += "last"; });
  testing::internal::CaptureStderr();
  turns();
  const std::string reports = captured_reports();
  EXPECT_NE(reports.find("std::runtime_error: of a link"), std::string::npos);
  EXPECT_NE(reports.find("a rawlink of greenlet"), std::string::npos);
  EXPECT_NE(reports.find("std::runtime_error: of a rawlink"), std::string::npos);
  EXPECT_EQ(out, "last");
}

TEST(Rawlink, IsHubWorkWhereNothingMayBlock) {
  std::string out;
  auto greenlet = spawn([] {});
  greenlet.rawlink([&](const Greenlet<>&) {
    try {
      yield();
    } catch (const std::logic_error&) {
      out += "refused";
    }
  });
  turns();
  EXPECT_EQ(out, "refused");
}

// Unlinking. gevent test__greenlet: TestUnlink, test_multiple_listeners_error_unlink.

TEST(Unlink, TakesOffTheOneThatItsTokenNames) {
  std::string out;
  auto greenlet = spawn([] {});
  const Link first = greenlet.link([&](const Greenlet<>&) { out += "first "; });
  const Link raw = greenlet.rawlink([&](const Greenlet<>&) { out += "raw "; });
  greenlet.link([&](const Greenlet<>&) { out += "last "; });
  greenlet.unlink(first);
  greenlet.unlink(first);
  greenlet.unlink(raw);
  greenlet.unlink(Link());
  turns();
  EXPECT_EQ(out, "last ");
}

TEST(Unlink, LeavesNothingOnTheGreenlet) {
  auto greenlet = spawn([] { sleep(1h); });
  auto held = std::make_shared<int>();
  const Link link = greenlet.link([held](const Greenlet<>&) {});
  EXPECT_TRUE(greenlet.has_links());
  greenlet.unlink(link);
  EXPECT_FALSE(greenlet.has_links());
  greenlet.kill();
}

TEST(Unlink, DuringNotificationIsRespected) {
  std::string out;
  auto greenlet = spawn([] {});
  Link second;
  Link third;
  greenlet.link([&](const Greenlet<>& ended) {
    out += "first ";
    ended.unlink(second);
    ended.unlink(third);
    throw std::runtime_error("and goes");
  });
  second = greenlet.link([&](const Greenlet<>&) { out += "second "; });
  third = greenlet.rawlink([&](const Greenlet<>&) { out += "third "; });
  greenlet.link([&](const Greenlet<>&) { out += "last "; });
  testing::internal::CaptureStderr();
  turns();
  captured_reports();
  EXPECT_EQ(out, "first last ");
}

TEST(Link, AddedDuringNotificationIsCalledInIt) {
  std::string out;
  auto greenlet = spawn([] {});
  greenlet.rawlink([&](const Greenlet<>& ended) {
    out += "first ";
    ended.rawlink([&](const Greenlet<>&) { out += "added "; });
  });
  greenlet.rawlink([&](const Greenlet<>&) { out += "second "; });
  yield();
  spawn([&] { out += "behind "; });
  turns();
  EXPECT_EQ(out, "first second added behind ");
}

// Other threads.

TEST(Link, FromAnotherThreadIsCalledOnTheGreenletsHub) {
  const Hold hold = green::get_hub().hold();
  Event gate;
  Event linked;
  std::thread::id where;
  int told = 0;
  auto greenlet = spawn([&] { gate.wait(); });
  std::thread thread([&] {
    greenlet.rawlink([&](const Greenlet<>&) { where = std::this_thread::get_id(); });
    const Link gone = greenlet.link([&](const Greenlet<>&) { ++told; });
    greenlet.unlink(gone);
    linked.set();
  });
  linked.wait();
  thread.join();
  gate.set();
  greenlet.join();
  turns();
  EXPECT_EQ(where, std::this_thread::get_id());
  EXPECT_EQ(told, 0);
}

TEST(Link, ToAGreenletWhoseThreadIsGoneIsCalledHere) {
  Greenlet<int> greenlet;
  std::thread([&] {
    greenlet = spawn([] { return 5; });
    greenlet.join();
  }).join();
  int value = 0;
  int kept = 0;
  greenlet.link([&](const Greenlet<int>& ended) { value = ended.get(0s); });
  const Link gone = greenlet.link([&](const Greenlet<>&) { ++kept; });
  greenlet.unlink(gone);
  turns();
  EXPECT_EQ(value, 5);
  EXPECT_EQ(kept, 0);
}

TEST(Link, TakesAFunctionOfAnyHandleAndAResultForEachKind) {
  auto greenlet = spawn([] { return 7; });
  int seen = 0;
  greenlet.link([&](auto& ended) { seen += ended.get(); });
  green::AsyncResult<int> value;
  green::AsyncResult<int> never;
  greenlet.link_value(value);
  greenlet.link_exception(never);
  EXPECT_EQ(value.get(), 7);
  yield();
  EXPECT_EQ(seen, 7);
  EXPECT_FALSE(never.ready());
}

TEST(Unlink, LeavesTheLinkOfAnotherGreenlet) {
  int calls = 0;
  auto one = spawn([] {});
  auto other = spawn([] {});
  const green::Link link = one.link([&](const Greenlet<>&) { ++calls; });
  other.unlink(link);
  green::joinall({one, other});
  yield();
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace greenroom
