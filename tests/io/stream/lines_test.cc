#include "greenroom/io/stream/lines.h"

#include <gtest/gtest.h>

#include "greenroom/io/stream/next_line.h"
#include "greenroom/tests/io/hang_guard.h"
#include "greenroom/tests/io/loopback.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using loopback::connected_to;
using loopback::error_of;

[[maybe_unused]] const bool is_guarded = hang_guard::fail_tests_that_hang();

TEST(Lines, ComeOneByOneThenTheRestThenTheEndForEver) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  client.write_all("first\r\nsecond\n\nunfinished");
  client.close();
  tcp::Lines lines(server);
  EXPECT_EQ(lines.next(), "first");
  EXPECT_EQ(lines.next(), "second");
  EXPECT_EQ(lines.next(), "");
  EXPECT_EQ(lines.next(), "unfinished");
  EXPECT_EQ(lines.next(), std::nullopt);
  EXPECT_EQ(lines.next(), std::nullopt);
}

TEST(Lines, ParkUntilTheWholeLineIsThere) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server);
  auto reader = green::spawn([&] { return lines.next(); });
  client.write_all("in ");
  loopback::settle();
  EXPECT_FALSE(reader.ready());
  client.write_all("pieces\n");
  EXPECT_EQ(reader.get(), "in pieces");
}

TEST(Lines, TimeOutAndGoOnWithWhatHadCome) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server);
  client.write_all("half");
  EXPECT_EQ(error_of([&] { lines.next(2ms); }), std::errc::timed_out);
  EXPECT_EQ(error_of([&] { lines.next(0s); }), std::errc::timed_out);
  client.write_all(" and half\n");
  EXPECT_EQ(lines.next(), "half and half");
}

TEST(Lines, WaitIsForTheLineAndNotForEachPiece) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server);
  auto drip = green::spawn([&] {
    for (;;) {
      client.write_all("x");
      sleep(1ms);
    }
  });
  EXPECT_EQ(error_of([&] { lines.next(20ms); }), std::errc::timed_out);
  drip.kill();
}

TEST(Lines, KilledReaderLosesNothing) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server);
  auto reader = green::spawn([&] { return lines.next(); });
  client.write_all("half");
  loopback::settle();
  reader.kill();
  client.write_all(" kept\n");
  EXPECT_EQ(lines.next(), "half kept");
}

TEST(Lines, LineThatCameInTheRoundOfTheDeadlineBeatsIt) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server);
  const auto deadline = clock::now() + 2ms;
  auto reader = green::spawn([&] { return lines.next(deadline); });
  yield();
  client.write_all("just in time\n");
  loopback::compute_until(deadline + 1ms);
  EXPECT_EQ(reader.get(), "just in time");
}

TEST(Lines, TooLongALineIsAnErrorFromThenOn) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server, 10);
  client.write_all("0123456789\n0123456789a\nnever\n");
  EXPECT_EQ(lines.next(), "0123456789");
  EXPECT_EQ(error_of([&] { lines.next(); }), std::errc::message_size);
  EXPECT_EQ(error_of([&] { lines.next(); }), std::errc::message_size);
}

TEST(Lines, CrWithoutLfIsNoEndOfALineButAByteTooMuch) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server, 8);
  client.write_all("12345678\r");
  client.close();
  EXPECT_EQ(error_of([&] { lines.next(); }), std::errc::message_size);
  EXPECT_EQ(error_of([&] { lines.next(); }), std::errc::message_size);
}

TEST(Lines, EndlessLineIsRefusedBeforeItEnds) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server, 100'000);
  auto writer = green::spawn([&] {
    const std::string endless(1 << 20, 'x');
    for (;;) client.write_all(endless);
  });
  EXPECT_EQ(error_of([&] { lines.next(); }), std::errc::message_size);
  writer.kill();
}

// next_line, driven as receive() drives a clause.

// Takes one line, parking as often as it must.
template <class Clause>
auto take_by(Clause&& clause) {
  for (;;) {
    detail::Task& self = detail::enter_blocking_call();
    if (clause.try_take()) return clause.run();
    const detail::Waiting waiting(self);
    clause.arm(waiting.waker());
    const detail::ParkResult result = detail::park("receive");
    clause.disarm();
    if (result == detail::ParkResult::interrupted) detail::throw_pending();
  }
}

std::optional<std::string> take_line(tcp::Lines& lines) {
  return take_by(next_line(lines, [](std::optional<std::string> line) { return line; }));
}

TEST(NextLine, TakesLinesThenTheEnd) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server);
  auto reader = green::spawn([&] {
    std::string all;
    while (auto line = take_line(lines)) all += *line + "|";
    return all;
  });
  loopback::settle();
  client.write_all("one\ntwo\nthr");
  loopback::settle();
  client.write_all("ee\nrest");
  client.close();
  EXPECT_EQ(reader.get(), "one|two|three|rest|");
  EXPECT_EQ(take_line(lines), std::nullopt);
}

TEST(NextLine, KilledWhileParkedItLosesNothing) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server);
  auto reader = green::spawn([&] { take_line(lines); });
  loopback::settle();
  client.write_all("kept\n");
  reader.kill();
  EXPECT_EQ(lines.next(), "kept");
}

TEST(NextLine, StreamClosedByAnotherGreenletIsAnError) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server);
  auto reader = green::spawn([&] { return error_of([&] { take_line(lines); }); });
  loopback::settle();
  server.close();
  EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
}

TEST(NextLine, ReaderBesideItIsRefused) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server);
  auto reader = green::spawn([&] { return take_line(lines); });
  loopback::settle();
  EXPECT_THROW(loopback::read_some_text(server), ConcurrentUse);
  EXPECT_THROW(take_line(lines), ConcurrentUse);
  client.write_all("mine\n");
  EXPECT_EQ(reader.get(), "mine");
}

TEST(NextLine, ThrowsForALineThatIsTooLong) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server, 3);
  client.write_all("abcd\n");
  EXPECT_EQ(error_of([&] { take_line(lines); }), std::errc::message_size);
}

TEST(NextLine, IsFoundByALoopThatNeverParks) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  tcp::Lines lines(server);
  auto reader = green::spawn([&] { return take_line(lines); });
  loopback::settle();  // it has parked, so the kernel is asked to tell of news
  client.write_all("first\n");
  EXPECT_EQ(reader.get(), "first");
  client.write_all("second\n");
  // As a receive loop that always has mail: only try_take, again and again.
  auto clause = next_line(lines, [](std::optional<std::string> line) { return line; });
  while (!clause.try_take()) yield();
  EXPECT_EQ(clause.run(), "second");
}

}  // namespace
}  // namespace greenroom
