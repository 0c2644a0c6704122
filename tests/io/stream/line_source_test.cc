#include "greenroom/io/stream/line_source.h"

#include <gtest/gtest.h>

#include "greenroom/tests/io/hang_guard.h"
#include "greenroom/tests/io/loopback.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using loopback::connected_to;

[[maybe_unused]] const bool is_guarded = hang_guard::fail_tests_that_hang();

// What a source has told.
struct Told {
  std::vector<std::string> lines;
  std::vector<std::error_code> ends;
  std::size_t pause_at = 1000;
  bool is_destroyed = false;
};

class Recorder final : public detail::LineSource {
 public:
  explicit Recorder(Told& told, std::size_t max_line = 4096) : LineSource(max_line), told_(told) {}
  ~Recorder() override { told_.is_destroyed = true; }
  void on_line(std::string&& line) override {
    EXPECT_TRUE(told_.ends.empty());
    told_.lines.push_back(std::move(line));
    if (told_.lines.size() == told_.pause_at) pause();
  }
  void on_closed(std::error_code error) override { told_.ends.push_back(error); }

 private:
  Told& told_;
};

Recorder& attach(tcp::Stream& stream, Told& told, std::size_t max_line = 4096) {
  auto source = std::make_unique<Recorder>(told, max_line);
  Recorder& recorder = *source;
  detail::LineSource::attach(stream, std::move(source));
  return recorder;
}

// A source works while somebody else waits: until the peer has nothing more to say.
void wait_for(const std::function<bool()>& condition) {
  while (!condition()) sleep(100us);
}

using Strings = std::vector<std::string>;

TEST(LineSource, TellsLinesAndTheEndWithoutAGreenlet) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  Told told;
  attach(server, told);
  client.write_all("one\ntwo\r\nun");
  wait_for([&] { return told.lines.size() == 2; });
  client.write_all("finished");
  client.close();
  wait_for([&] { return !told.ends.empty(); });
  EXPECT_EQ(told.lines, (Strings{"one", "two", "unfinished"}));
  EXPECT_EQ(told.ends, std::vector<std::error_code>{std::error_code()});
  server.close();
  EXPECT_TRUE(told.is_destroyed);
}

TEST(LineSource, PausedItTellsNothingUntilItIsResumed) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  Told told;
  told.pause_at = 2;
  Recorder& source = attach(server, told);
  client.write_all("1\n2\n3\n4\n");
  client.close();
  wait_for([&] { return told.lines.size() == 2; });
  sleep(1ms);
  EXPECT_EQ(told.lines, (Strings{"1", "2"}));
  source.resume();
  EXPECT_EQ(told.lines, (Strings{"1", "2", "3", "4"}));
  wait_for([&] { return !told.ends.empty(); });
}

TEST(LineSource, PausedItHoldsThePeerBack) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  Told told;
  told.pause_at = 1;
  Recorder& source = attach(server, told);
  const std::string line(1000, 'x');
  std::size_t written = 0;
  auto writer = green::spawn([&] {
    for (; written < 20'000; ++written) client.write_all(line + "\n");
    client.close();
  });
  std::size_t before = 0;
  wait_for([&] {  // until the writer is stuck
    if (told.lines.empty() || before != written || written == 0) {
      before = written;
      sleep(5ms);
      return false;
    }
    return true;
  });
  EXPECT_LT(written, 20'000U);
  EXPECT_EQ(told.lines.size(), 1U);
  told.pause_at = 0;
  source.resume();
  writer.get();
  wait_for([&] { return !told.ends.empty(); });
  EXPECT_EQ(told.lines.size(), 20'000U);
}

TEST(LineSource, PausedItDoesNotKeepTheHubBusy) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  Told told;
  told.pause_at = 1;
  attach(server, told);
  client.write_all("1\n2\n");
  wait_for([&] { return told.lines.size() == 1; });
  client.write_all("3\n");
  sleep(5ms);
  const std::uint64_t before = green::get_hub().statistics().housekeepings;
  sleep(50ms);
  EXPECT_LT(green::get_hub().statistics().housekeepings - before, 10U);
}

TEST(LineSource, TellsWhatTheConnectionDiedOf) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  server.write_all("never read");
  Told told;
  attach(server, told);
  client.close();  // with unread bytes: a reset
  wait_for([&] { return !told.ends.empty(); });
  EXPECT_EQ(told.ends.front(), std::errc::connection_reset);
}

TEST(LineSource, TooLongALineEndsIt) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  Told told;
  attach(server, told, 3);
  client.write_all("abc\nabcd\nabc\n");
  wait_for([&] { return !told.ends.empty(); });
  EXPECT_EQ(told.lines, Strings{"abc"});
  EXPECT_EQ(told.ends.front(), std::errc::message_size);
}

TEST(LineSource, CrWithoutLfAtTheEndIsAByteTooMuch) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  Told told;
  attach(server, told, 3);
  client.write_all("abc\r");
  client.close();
  wait_for([&] { return !told.ends.empty(); });
  EXPECT_EQ(told.lines, Strings());
  EXPECT_EQ(told.ends.front(), std::errc::message_size);
}

TEST(LineSource, OwnCloseIsNotTold) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  Told told;
  attach(server, told);
  server.close();
  EXPECT_TRUE(told.is_destroyed);
  EXPECT_TRUE(told.ends.empty());
}

TEST(LineSource, StreamIsWrittenAsEverAndReadByNobodyElse) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  Told told;
  attach(server, told);
  server.write_all("greeting");
  EXPECT_EQ(loopback::read_some_text(client), "greeting");
  EXPECT_THROW(loopback::read_some_text(server), ConcurrentUse);
  EXPECT_THROW(attach(server, told), ConcurrentUse);
  EXPECT_TRUE(told.is_destroyed);  // the second one
}

TEST(LineSource, KeepsAHubWaitingThatHasNothingElseToDo) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  Told told;
  attach(server, told);
  green::Event never;
  EXPECT_FALSE(never.wait(1ms));
  EXPECT_TRUE(detail::poller_of(green::get_hub()).is_watching());
}

}  // namespace
}  // namespace greenroom
