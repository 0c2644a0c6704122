// tcp::Stream over the kernel's loopback. Over 400 lines: one class, and peers that misbehave.
#include "greenroom/io/stream/stream.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <thread>

#include "greenroom/tests/io/hang_guard.h"
#include "greenroom/tests/io/loopback.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using loopback::connected_to;
using loopback::error_of;
using loopback::read_some_text;
using loopback::read_text;

[[maybe_unused]] const bool is_guarded = hang_guard::fail_tests_that_hang();

TEST(Stream, CarriesBytesBothWays) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  client.write_all("to the server");
  EXPECT_EQ(read_some_text(server), "to the server");
  server.write_all("to the client");
  EXPECT_EQ(read_some_text(client), "to the client");
}

TEST(Stream, ReaderParksUntilBytesCome) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto reader = green::spawn([&] { return read_some_text(server); });
  loopback::settle();
  EXPECT_FALSE(reader.ready());
  client.write_all("late");
  EXPECT_EQ(reader.get(), "late");
}

TEST(Stream, ReadsWhatWasSentInPiecesOfAnySize) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  client.write_all("abcdef");
  std::array<std::byte, 4> room;
  EXPECT_EQ(server.read_some(room), 4U);
  EXPECT_EQ(server.read_some(room), 2U);
}

TEST(Stream, ReadOfNothingIsTheEndOfTheStreamAgainAndAgain) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  client.write_all("last");
  client.close();
  EXPECT_EQ(read_some_text(server), "last");
  EXPECT_EQ(read_some_text(server), "");
  EXPECT_EQ(read_some_text(server), "");
}

TEST(Stream, ReadWithRoomForNothingIsMisuse) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  EXPECT_THROW(server.read_some({}), std::invalid_argument);
}

TEST(Stream, ReadTimesOut) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  EXPECT_EQ(error_of([&] { read_some_text(server, 1ms); }), std::errc::timed_out);
  client.write_all("usable");
  EXPECT_EQ(read_some_text(server), "usable");
}

TEST(Stream, ReadPollsWithAWaitOfZero) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  EXPECT_EQ(error_of([&] { read_some_text(server, 0s); }), std::errc::timed_out);
  client.write_all("there");
  EXPECT_EQ(read_some_text(server, 0s), "there");
  EXPECT_EQ(error_of([&] { read_some_text(server, 0s); }), std::errc::timed_out);
}

TEST(Stream, KilledReaderLosesNoByteAndLeavesTheStreamUsable) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto reader = green::spawn([&] { return read_some_text(server); });
  loopback::settle();
  client.write_all("kept");
  reader.kill();
  EXPECT_TRUE(reader.ready());
  EXPECT_EQ(read_some_text(server), "kept");
}

TEST(Stream, BytesThatCameInTheRoundOfTheDeadlineBeatIt) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  const auto deadline = clock::now() + 2ms;
  auto reader = green::spawn([&] { return read_some_text(server, deadline); });
  yield();
  client.write_all("just in time");
  loopback::compute_until(deadline + 1ms);
  EXPECT_EQ(reader.get(), "just in time");
}

TEST(Stream, BytesThatTheHubHasNotHeardOfBeatTheDeadline) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  EXPECT_EQ(error_of([&] { read_some_text(server, 1ms); }), std::errc::timed_out);
  const auto deadline = clock::now() + 2ms;
  auto reader = green::spawn([&] { return read_some_text(server, deadline); });
  yield();
  const loopback::Deafness deafness;
  client.write_all("in silence");
  loopback::compute_until(deadline + 1ms);
  EXPECT_EQ(reader.get(), "in silence");
}

TEST(Stream, TimeoutEndsARead) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  EXPECT_EQ(try_for(1ms, [&] { return read_some_text(server); }), std::nullopt);
  EXPECT_THROW(with_deadline(1ms, [&] { return read_some_text(server); }), TimeoutError);
  client.write_all("usable");
  EXPECT_EQ(read_some_text(server), "usable");
}

TEST(Stream, SecondReaderIsRefusedByNameAndTheFirstGoesOn) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto first = green::spawn([&] { return read_some_text(server); });
  loopback::settle();
  try {
    read_some_text(server);
    FAIL();
  } catch (const ConcurrentUse& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("root greenlet"), std::string::npos) << text;
    EXPECT_NE(text.find("SecondReaderIsRefused"), std::string::npos) << text;
  }
  client.write_all("for the first");
  // It has been woken, but not read yet: the bytes are its own all the same.
  yield();
  EXPECT_EQ(first.get(), "for the first");
}

TEST(Stream, OneGreenletReadsWhileAnotherWrites) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto reader = green::spawn([&] { return read_text(server, 5); });
  loopback::settle();
  server.write_all("out");
  client.write_all("in it");
  EXPECT_EQ(read_some_text(client), "out");
  EXPECT_EQ(reader.get(), "in it");
}

TEST(Stream, CloseWakesTheReaderWithEbadfBeforeTheNumberIsReused) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto reader = green::spawn([&] { return error_of([&] { read_some_text(server); }); });
  loopback::settle();
  server.close();
  tcp::Stream other_client;
  tcp::Stream other_server = connected_to(other_client);  // one of them has the number now
  other_client.write_all("not for the first reader");
  EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
  EXPECT_EQ(read_some_text(other_server), "not for the first reader");
}

TEST(Stream, DestroyedWhileReadItWakesTheReader) {
  auto pair = std::make_unique<loopback::Pair>(loopback::connected());
  auto reader = green::spawn([&] { return error_of([&] { read_some_text(pair->server); }); });
  loopback::settle();
  pair.reset();
  EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
}

TEST(Stream, ClosedOneRefusesEverything) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  server.close();
  server.close();
  EXPECT_FALSE(server.is_open());
  EXPECT_EQ(error_of([&] { read_some_text(server); }), std::errc::bad_file_descriptor);
  EXPECT_EQ(error_of([&] { server.write_all("x"); }), std::errc::bad_file_descriptor);
  EXPECT_EQ(error_of([&] { server.shutdown_write(); }), std::errc::bad_file_descriptor);
  EXPECT_EQ(error_of([&] { static_cast<void>(server.peer()); }), std::errc::bad_file_descriptor);
}

TEST(Stream, ErrorNamesOperationAndAddress) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  try {
    read_some_text(client, 1ms);
    FAIL();
  } catch (const IoError& error) {
    EXPECT_EQ(std::string(error.what()),
              "tcp.read " + tcp::to_string(client.peer()) + ": Connection timed out");
  }
}

TEST(Stream, KnowsBothItsEnds) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  EXPECT_EQ(client.peer(), server.local());
  EXPECT_EQ(client.local(), server.peer());
  EXPECT_EQ(client.peer().host, "127.0.0.1");
}

TEST(Stream, MovesWhileItIsRead) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto reader = green::spawn([&] { return read_some_text(server); });
  loopback::settle();
  tcp::Stream elsewhere = std::move(server);
  client.write_all("found");
  EXPECT_EQ(reader.get(), "found");
  EXPECT_TRUE(elsewhere.is_open());
}

TEST(Stream, ShutdownOfWritingLeavesReadingOpen) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  client.write_all("request");
  client.shutdown_write();
  EXPECT_EQ(read_text(server, 100), "request");
  server.write_all("answer");
  server.close();
  EXPECT_EQ(read_text(client, 100), "answer");
}

TEST(Stream, WriteToAPeerThatIsGoneThrowsAndRaisesNoSignal) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  server.close();
  const auto code = error_of([&] {
    for (;;) client.write_all("x");
  });
  EXPECT_TRUE(code == std::errc::broken_pipe || code == std::errc::connection_reset) << code;
}

TEST(Stream, ResetByThePeerIsAnError) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  client.write_all("never read");
  auto reader = green::spawn([&] { return error_of([&] { read_some_text(client); }); });
  loopback::settle();
  server.close();  // with unread bytes: a reset
  EXPECT_EQ(reader.get(), std::errc::connection_reset);
}

// Writing more than the kernel takes.

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + (i >> 11));
  return text;
}

TEST(Stream, TenMegabytesArriveWholeBothWaysAtOnce) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  const std::string up = pattern(10'000'000);
  const std::string down = pattern(10'000'001);
  auto send_up = green::spawn([&] { client.write_all(up); });
  auto send_down = green::spawn([&] { server.write_all(down); });
  auto read_up = green::spawn([&] { return read_text(server, up.size()) == up; });
  auto read_down = green::spawn([&] { return read_text(client, down.size()) == down; });
  EXPECT_TRUE(read_up.get());
  EXPECT_TRUE(read_down.get());
  send_up.get();
  send_down.get();
}

TEST(Stream, WriteTimesOutAsAWhole) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  const std::string much = pattern(30'000'000);
  // The peer takes a little again and again, so that each part is in time.
  auto reader = green::spawn([&] {
    std::array<std::byte, 4096> room;
    for (;;) {
      server.read_some(room);
      sleep(1ms);
    }
  });
  EXPECT_EQ(error_of([&] { client.write_all(much, 30ms); }), std::errc::timed_out);
  reader.kill();
}

TEST(Stream, WriteLimitEndsAWriteThatWouldWaitForEver) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  client.set_write_limit(5ms);
  EXPECT_EQ(error_of([&] { client.write_all(pattern(30'000'000)); }), std::errc::timed_out);
}

// It has no turn to wait for: another greenlet is waiting to write.
TEST(Stream, WriteOfNothingNeverWaits) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto writer = green::spawn([&] { client.write_all(pattern(30'000'000)); });
  loopback::settle();
  EXPECT_NO_THROW(client.write_all("", 0s));
  EXPECT_NO_THROW(client.write_all(""));
  EXPECT_FALSE(writer.ready());
  writer.kill();
}

TEST(Stream, WritePollsWithAWaitOfZero) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  client.write_all("fits", 0s);
  EXPECT_EQ(error_of([&] { client.write_all(pattern(30'000'000), 0s); }), std::errc::timed_out);
}

TEST(Stream, KilledWriterLeavesTheStreamReadableAndClosable) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto writer = green::spawn([&] { client.write_all(pattern(30'000'000)); });
  loopback::settle();
  EXPECT_FALSE(writer.ready());
  writer.kill();
  EXPECT_TRUE(writer.ready());
  server.write_all("still");
  EXPECT_EQ(read_some_text(client), "still");
}

TEST(Stream, SecondWriterIsRefused) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  const std::string much = pattern(30'000'000);
  auto writer = green::spawn([&] { client.write_all(much); });
  loopback::settle();
  EXPECT_THROW(client.write_all("in between"), ConcurrentUse);
  EXPECT_TRUE(read_text(server, much.size()) == much);
  writer.get();
}

TEST(Stream, CloseWakesTheWriterWithEbadf) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto writer =
      green::spawn([&] { return error_of([&] { client.write_all(pattern(30'000'000)); }); });
  loopback::settle();
  client.close();
  EXPECT_EQ(writer.get(), std::errc::bad_file_descriptor);
}

TEST(Stream, RoomThatComesInTheRoundOfTheDeadlineIsUsed) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  EXPECT_EQ(error_of([&] { client.write_all(pattern(30'000'000), 0s); }), std::errc::timed_out);
  const auto deadline = clock::now() + 20ms;
  auto writer = green::spawn([&] { return error_of([&] { client.write_all("x", deadline); }); });
  yield();
  loopback::discard_input(loopback::descriptor_of(server));
  loopback::compute_until(deadline + 1ms);
  EXPECT_EQ(writer.get(), std::error_code());
}

// Between hubs.

TEST(Stream, FreshOneIsUsedOnAnotherHub) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  std::thread other([stream = std::move(server)]() mutable {
    for (std::string text; !(text = read_some_text(stream)).empty();) stream.write_all(text);
  });
  client.write_all("there and back");
  EXPECT_EQ(read_some_text(client), "there and back");
  client.close();
  other.join();
}

TEST(Stream, UsedOneMovesToAnotherHubAndBack) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  // Watched here ...
  EXPECT_EQ(error_of([&] { read_some_text(server, 1ms); }), std::errc::timed_out);
  // ... and then there, by two greenlets at once.
  const Hold hold = green::get_hub().hold();
  green::Event done;
  std::thread other([&] {
    auto reader = green::spawn([&] { return read_some_text(server); });
    auto writer = green::spawn([&] { server.write_all(pattern(20'000'000)); });
    EXPECT_EQ(reader.get(), "over there");
    writer.get();
    done.set();
  });
  client.write_all("over there");
  EXPECT_TRUE(read_text(client, 20'000'000) == pattern(20'000'000));
  done.wait();
  other.join();
  auto reader = green::spawn([&] { return read_some_text(server); });
  loopback::settle();
  client.write_all("back here");
  EXPECT_EQ(reader.get(), "back here");
}

TEST(Stream, MoveThatIsCutShortCanBeTriedAgain) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  EXPECT_EQ(error_of([&] { read_some_text(server, 1ms); }), std::errc::timed_out);
  std::atomic<bool> was_killed{false};
  const Hold hold = green::get_hub().hold();
  green::Event done;
  std::thread other([&] {
    auto reader = green::spawn([&] { return read_some_text(server); });
    yield();  // it waits for this test's hub, which is busy
    reader.kill();
    was_killed = true;
    EXPECT_EQ(read_some_text(server), "in the end");
    done.set();
  });
  while (!was_killed) {
  }
  client.write_all("in the end");
  done.wait();
  other.join();
}

TEST(Stream, UseOnAnotherHubWhileItIsWaitedForIsRefused) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto reader = green::spawn([&] { return read_some_text(server); });
  loopback::settle();
  std::thread([&] { EXPECT_THROW(read_some_text(server), ConcurrentUse); }).join();
  client.write_all("for the first");
  EXPECT_EQ(reader.get(), "for the first");
}

TEST(Stream, ClosedOnAnotherHubItIsClosedAtHome) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  EXPECT_EQ(error_of([&] { read_some_text(server, 1ms); }), std::errc::timed_out);
  std::thread([stream = std::move(server)]() mutable { stream.close(); }).join();
  EXPECT_EQ(read_some_text(client), "");
}

TEST(Stream, MoveTimesOutWhileTheOldHubIsBusy) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  EXPECT_EQ(error_of([&] { read_some_text(server, 1ms); }), std::errc::timed_out);
  std::thread([&] {
    EXPECT_EQ(error_of([&] { read_some_text(server, 1ms); }), std::errc::timed_out);
  }).join();
  client.write_all("still here");
  EXPECT_EQ(read_some_text(server), "still here");
}

TEST(Stream, ClosedWhileItMovesItTellsWhoWaits) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  EXPECT_EQ(error_of([&] { read_some_text(server, 1ms); }), std::errc::timed_out);
  std::thread([&] {
    auto reader = green::spawn([&] { return error_of([&] { read_some_text(server); }); });
    auto writer = green::spawn([&] { return error_of([&] { server.write_all("x"); }); });
    loopback::settle();
    server.close();
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(writer.get(), std::errc::bad_file_descriptor);
  }).join();
  EXPECT_EQ(read_some_text(client), "");
}

// A system call counts as many messages: 320 of them are several slices, though nothing parks.
TEST(Stream, WriterAndReaderThatNeverParkLetOthersRun) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  const auto turns_beside = [](const std::function<void()>& work) {
    int turns = 0;
    auto worker = green::spawn(work);
    while (!worker.ready()) {
      yield();
      ++turns;
    }
    return turns;
  };
  EXPECT_GE(turns_beside([&] {
              for (int i = 0; i < 320; ++i) client.write_all("x");
            }),
            8);
  loopback::settle();
  EXPECT_GE(turns_beside([&] {
              std::byte buffer[1];
              for (int i = 0; i < 320; ++i) server.read_some(buffer);
            }),
            8);
}

TEST(Stream, OutlivesTheHubThatItWasUsedOn) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  std::thread([&] {
    EXPECT_EQ(error_of([&] { read_some_text(server, 1ms); }), std::errc::timed_out);
  }).join();
  client.write_all("here");
  EXPECT_EQ(read_some_text(server), "here");
}

TEST(Stream, LeaksNoDescriptor) {
  loopback::connected();
  const int before = loopback::open_descriptors();
  {
    tcp::Stream client;
    tcp::Stream server = connected_to(client);
    EXPECT_EQ(error_of([&] { read_some_text(server, 1ms); }), std::errc::timed_out);
    auto killed = green::spawn([&] { read_some_text(server); });
    loopback::settle();
    killed.kill();
  }
  EXPECT_EQ(loopback::open_descriptors(), before);
}

TEST(Stream, CannotBeUsedInHubWork) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  bool was_refused = false;
  green::Event done;
  green::get_hub().post([&] {
    try {
      read_some_text(server);
    } catch (const std::logic_error&) {
      was_refused = true;
    }
    done.set();
  });
  done.wait();
  EXPECT_TRUE(was_refused);
}

TEST(Stream, WaitForAPeerThatMaySpeakIsNoLoopExitButNothingElseToDoIs) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  EXPECT_EQ(error_of([&] { read_some_text(server, 1ms); }), std::errc::timed_out);
  // Armed, but nobody waits for it.
  green::Event never;
  EXPECT_THROW(never.wait(), green::LoopExit);
}

}  // namespace
}  // namespace greenroom
