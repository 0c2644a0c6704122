// tls::Stream once it is open, over the kernel's loopback. Over 300 lines: as tcp::Stream's.
#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "greenroom/tests/io/tls/tls_loopback.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using loopback::error_of;
using tls_loopback::connected;
using tls_loopback::Pair;
using tls_loopback::pattern;
using tls_loopback::read_some_text;
using tls_loopback::read_text;
using tls_loopback::words_of;

TEST(TlsStream, CarriesBytesBothWays) {
  Pair pair = connected();
  pair.client.write_all("to the server");
  EXPECT_EQ(read_some_text(pair.server), "to the server");
  pair.server.write_all("to the client");
  EXPECT_EQ(read_some_text(pair.client), "to the client");
}

TEST(TlsStream, KnowsItsEndsAndWhatWasAgreedOn) {
  Pair pair = connected();
  EXPECT_EQ(pair.client.peer(), pair.server.local());
  EXPECT_EQ(pair.client.local(), pair.server.peer());
  EXPECT_EQ(pair.client.version(), tls::Version::tls13);
  EXPECT_EQ(pair.client.cipher(), pair.server.cipher());
  EXPECT_EQ(pair.client.alpn(), "");
  EXPECT_EQ(pair.client.peer_certificate_subject(), "CN=server");
  EXPECT_EQ(pair.server.peer_certificate_subject(), "");
}

TEST(TlsStream, ReadWithRoomForNothingIsMisuse) {
  Pair pair = connected();
  EXPECT_THROW(pair.client.read_some({}), std::invalid_argument);
}

TEST(TlsStream, ReadOfNothingIsTheEndOfTheStreamAgainAndAgain) {
  Pair pair = connected();
  pair.client.write_all("last");
  pair.client.close();
  EXPECT_EQ(read_some_text(pair.server), "last");
  EXPECT_EQ(read_some_text(pair.server), "");
  EXPECT_EQ(read_some_text(pair.server), "");
}

TEST(TlsStream, ShutdownOfWritingLeavesReadingOpen) {
  Pair pair = connected();
  pair.client.write_all("request");
  pair.client.shutdown_write();
  pair.client.shutdown_write();
  EXPECT_EQ(error_of([&] { pair.client.write_all("more"); }), std::errc::broken_pipe);
  EXPECT_EQ(read_text(pair.server, 100), "request");
  pair.server.write_all("answer");
  pair.server.close();
  EXPECT_EQ(read_text(pair.client, 100), "answer");
}

TEST(TlsStream, DestructorSaysGoodbye) {
  Pair pair = connected();
  { const tls::Stream gone = std::move(pair.client); }
  EXPECT_EQ(read_some_text(pair.server), "");
}

// Reading.

TEST(TlsStream, ReadTimesOut) {
  Pair pair = connected();
  EXPECT_EQ(error_of([&] { read_some_text(pair.server, 1ms); }), std::errc::timed_out);
  EXPECT_EQ(error_of([&] { read_some_text(pair.server, 0s); }), std::errc::timed_out);
  pair.client.write_all("usable");
  EXPECT_EQ(read_some_text(pair.server, 0s), "usable");
}

TEST(TlsStream, TimeoutsAndDeadlinesEndARead) {
  Pair pair = connected();
  EXPECT_EQ(try_for(1ms, [&] { return read_some_text(pair.server); }), std::nullopt);
  EXPECT_THROW(with_deadline(1ms, [&] { return read_some_text(pair.server); }), TimeoutError);
  pair.client.write_all("usable");
  EXPECT_EQ(read_some_text(pair.server), "usable");
}

TEST(TlsStream, KilledReaderLosesNoByteAndLeavesTheStreamUsable) {
  Pair pair = connected();
  auto reader = green::spawn([&] { return read_some_text(pair.server); });
  loopback::settle();
  pair.client.write_all("kept");
  reader.kill();
  EXPECT_TRUE(reader.ready());
  EXPECT_EQ(read_some_text(pair.server), "kept");
}

TEST(TlsStream, BytesThatCameInTheRoundOfTheDeadlineBeatIt) {
  Pair pair = connected();
  const auto deadline = clock::now() + 2ms;
  auto reader = green::spawn([&] { return read_some_text(pair.server, deadline); });
  yield();
  pair.client.write_all("just in time");
  loopback::compute_until(deadline + 1ms);
  EXPECT_EQ(reader.get(), "just in time");
}

TEST(TlsStream, BytesThatTheHubHasNotHeardOfBeatTheDeadline) {
  Pair pair = connected();
  const auto deadline = clock::now() + 2ms;
  auto reader = green::spawn([&] { return read_some_text(pair.server, deadline); });
  yield();
  const loopback::Deafness deafness;
  pair.client.write_all("in silence");
  loopback::compute_until(deadline + 1ms);
  EXPECT_EQ(reader.get(), "in silence");
}

TEST(TlsStream, SecondReaderIsRefusedAndTheFirstGoesOn) {
  Pair pair = connected();
  auto first = green::spawn([&] { return read_some_text(pair.server); });
  loopback::settle();
  EXPECT_THROW(read_some_text(pair.server), ConcurrentUse);
  pair.client.write_all("for the first");
  EXPECT_EQ(first.get(), "for the first");
}

TEST(TlsStream, ErrorNamesOperationAndAddress) {
  Pair pair = connected();
  EXPECT_EQ(
      words_of([&] { read_some_text(pair.client, 1ms); }),
      "tls.read " + tcp::to_string(pair.client.peer()) + " as 127.0.0.1: Connection timed out");
}

// Writing.

TEST(TlsStream, MegabytesArriveWholeBothWaysAtOnce) {
  Pair pair = connected();
  const std::string up = pattern(6'000'000);
  const std::string down = pattern(6'000'001);
  auto send_up = green::spawn([&] { pair.client.write_all(up); });
  auto send_down = green::spawn([&] { pair.server.write_all(down); });
  auto read_up = green::spawn([&] { return read_text(pair.server, up.size()) == up; });
  auto read_down = green::spawn([&] { return read_text(pair.client, down.size()) == down; });
  EXPECT_TRUE(read_up.get());
  EXPECT_TRUE(read_down.get());
  send_up.get();
  send_down.get();
}

TEST(TlsStream, WriterThatIsParkedDoesNotStopTheReader) {
  Pair pair = connected();
  const std::string much = pattern(20'000'000);
  auto writer = green::spawn([&] { pair.client.write_all(much); });
  loopback::settle();
  EXPECT_FALSE(writer.ready());
  for (int i = 0; i < 3; ++i) {
    pair.server.write_all("against the stream");
    EXPECT_EQ(read_some_text(pair.client), "against the stream");
  }
  EXPECT_FALSE(writer.ready());
  EXPECT_TRUE(read_text(pair.server, much.size()) == much);
  writer.get();
}

TEST(TlsStream, WriteTimesOut) {
  Pair pair = connected();
  const std::string much = pattern(20'000'000);
  EXPECT_EQ(error_of([&] { pair.client.write_all(much, 5ms); }), std::errc::timed_out);
  EXPECT_EQ(error_of([&] { pair.server.write_all(much, 0s); }), std::errc::timed_out);
}

TEST(TlsStream, WriteLimitEndsAWriteThatWouldWaitForEver) {
  Pair pair = connected();
  pair.client.set_write_limit(5ms);
  EXPECT_EQ(error_of([&] { pair.client.write_all(pattern(20'000'000)); }), std::errc::timed_out);
}

TEST(TlsStream, AfterAKilledWriterTheNextOneIsUnderstood) {
  Pair pair = connected();
  const std::string much = pattern(20'000'000);
  auto writer = green::spawn([&] { pair.client.write_all(much); });
  loopback::settle();
  writer.kill();
  EXPECT_TRUE(writer.ready());
  auto next = green::spawn([&] {
    pair.client.write_all("the end");
    pair.client.close();
  });
  const std::string heard = read_text(pair.server, much.size());
  next.get();
  ASSERT_GT(heard.size(), 7U);
  EXPECT_EQ(heard.substr(heard.size() - 7), "the end");
  EXPECT_EQ(heard.substr(0, heard.size() - 7), much.substr(0, heard.size() - 7));
}

TEST(TlsStream, SecondWriterIsRefused) {
  Pair pair = connected();
  const std::string much = pattern(20'000'000);
  auto writer = green::spawn([&] { pair.client.write_all(much); });
  loopback::settle();
  EXPECT_THROW(pair.client.write_all("in between"), ConcurrentUse);
  EXPECT_THROW(pair.client.shutdown_write(), ConcurrentUse);
  EXPECT_TRUE(read_text(pair.server, much.size()) == much);
  writer.get();
}

TEST(TlsStream, RoomThatComesInTheRoundOfTheDeadlineIsUsed) {
  tcp::Listener listener({"127.0.0.1", 0});
  tls::Stream client;
  auto connecting = green::spawn(
      [&] { client = tls::connect(listener.local(), tls_loopback::client_context(), 20s); });
  tcp::Stream below = listener.accept();
  const int fd = loopback::descriptor_of(below);
  const tls::Stream server = tls::accept(std::move(below), tls_loopback::server_context(), 20s);
  connecting.get();
  EXPECT_EQ(error_of([&] { client.write_all(pattern(20'000'000), 0s); }), std::errc::timed_out);
  const auto deadline = clock::now() + 20ms;
  auto writer = green::spawn([&] { return error_of([&] { client.write_all("x", deadline); }); });
  yield();
  loopback::discard_input(fd);
  loopback::compute_until(deadline + 1ms);
  EXPECT_EQ(writer.get(), std::error_code());
}

// The end.

TEST(TlsStream, CloseWakesReaderAndWriterWithEbadf) {
  Pair pair = connected();
  auto reader = green::spawn([&] { return error_of([&] { read_some_text(pair.client); }); });
  auto writer =
      green::spawn([&] { return error_of([&] { pair.client.write_all(pattern(20'000'000)); }); });
  loopback::settle();
  pair.client.close();
  EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
  EXPECT_EQ(writer.get(), std::errc::bad_file_descriptor);
}

TEST(TlsStream, ClosedOneRefusesEverything) {
  tls::Stream stream;
  stream.close();
  EXPECT_FALSE(stream.is_open());
  const std::errc closed = std::errc::bad_file_descriptor;
  EXPECT_EQ(error_of([&] { read_some_text(stream); }), closed);
  EXPECT_EQ(error_of([&] { stream.write_all("x"); }), closed);
  EXPECT_EQ(error_of([&] { stream.shutdown_write(); }), closed);
  EXPECT_EQ(error_of([&] { static_cast<void>(stream.peer()); }), closed);
  EXPECT_EQ(error_of([&] { static_cast<void>(stream.alpn()); }), closed);
}

TEST(TlsStream, WriteToAPeerThatIsGoneThrowsAndRaisesNoSignal) {
  Pair pair = connected();
  pair.server.close();
  const auto code = error_of([&] {
    for (;;) pair.client.write_all("x");
  });
  EXPECT_TRUE(code == std::errc::broken_pipe || code == std::errc::connection_reset) << code;
}

TEST(TlsStream, MovesWhileItIsRead) {
  Pair pair = connected();
  auto reader = green::spawn([&] { return read_some_text(pair.server); });
  loopback::settle();
  tls::Stream elsewhere = std::move(pair.server);
  pair.client.write_all("found");
  EXPECT_EQ(reader.get(), "found");
  EXPECT_TRUE(elsewhere.is_open());
}

TEST(TlsStream, LeaksNoDescriptor) {
  connected();
  const int before = loopback::open_descriptors();
  {
    Pair pair = connected();
    auto reader = green::spawn([&] { read_some_text(pair.server); });
    auto writer = green::spawn([&] { pair.server.write_all(pattern(20'000'000)); });
    loopback::settle();
    reader.kill();
    writer.kill();
  }
  EXPECT_EQ(loopback::open_descriptors(), before);
}

// Between hubs.

TEST(TlsStream, UsedOneMovesToAnotherHubAndBack) {
  Pair pair = connected();
  const Hold hold = green::get_hub().hold();
  green::Event done;
  std::thread other([&] {
    auto reader = green::spawn([&] { return read_some_text(pair.server); });
    auto writer = green::spawn([&] { pair.server.write_all(pattern(10'000'000)); });
    EXPECT_EQ(reader.get(), "over there");
    writer.get();
    done.set();
  });
  pair.client.write_all("over there");
  EXPECT_TRUE(read_text(pair.client, 10'000'000) == pattern(10'000'000));
  done.wait();
  other.join();
  pair.client.write_all("back here");
  EXPECT_EQ(read_some_text(pair.server), "back here");
}

TEST(TlsStream, ContextsServeSeveralHubsAtOnce) {
  const tls::ServerContext server = tls_loopback::server_context();
  const tls::ClientContext client = tls_loopback::client_context();
  const auto talk = [&] {
    for (int i = 0; i < 5; ++i) {
      Pair pair = connected(server, client);
      pair.client.write_all("hello");
      EXPECT_EQ(read_some_text(pair.server), "hello");
    }
  };
  std::thread other(talk);
  talk();
  other.join();
}

}  // namespace
}  // namespace greenroom
