// The network of a simulation: what a test can ask of it, and what it finds out. Over 400
// lines: one class.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/io/tcp.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"
#include "greenroom/tests/io/loopback.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using loopback::connected;
using loopback::error_of;
using loopback::Pair;
using loopback::read_some_text;
using loopback::read_text;
using testkit::LeakError;
using testkit::network;
using testkit::simulate;
using testkit::SimulationReport;

const tcp::Endpoint any_port{"127.0.0.1", 0};

void on_seeds(int count, const std::function<void()>& body, int hubs = 1) {
  for (int seed = 0; seed < testkit::scale(count); ++seed) {
    simulate({.seed = static_cast<std::uint64_t>(seed), .hubs = hubs}, body);
    if (testing::Test::HasFailure()) return;
  }
}

template <class E>
std::string text_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

// The seed.

// Clients that send, and the pieces in which it came.
std::string pieces(std::uint64_t seed, int hubs, std::uint64_t* trace = nullptr) {
  auto seen = std::make_shared<std::string>();
  const SimulationReport report = simulate({.seed = seed, .hubs = hubs}, [seen] {
    tcp::Listener listener(any_port);
    const tcp::Endpoint endpoint = listener.local();
    for (int i = 0; i < 3; ++i) {
      spawn(SpawnOptions{.place = Placement::next_hub}, [endpoint] {
        tcp::Stream stream = tcp::connect(endpoint);
        stream.write_all("0123456789");
      });
    }
    for (int i = 0; i < 3; ++i) {
      tcp::Stream stream = listener.accept();
      for (std::string text; !(text = read_some_text(stream)).empty();) *seen += text + " ";
    }
  });
  if (trace) *trace = report.trace;
  return *seen;
}

TEST(NetworkSeed, TheSameOneGivesTheSamePiecesAndTheSameTrace) {
  for (const int hubs : {1, 2, 3}) {
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    EXPECT_EQ(pieces(5, hubs, &first), pieces(5, hubs, &second));
    EXPECT_EQ(first, second);
  }
}

TEST(NetworkSeed, DifferentOnesGiveDifferentPieces) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 60; ++seed) seen.insert(pieces(seed, 2));
  EXPECT_GT(seen.size(), 10U);
}

TEST(NetworkSeed, NoSocketOfTheKernelIsMade) {
  simulate({}, [] {
    const int before = loopback::open_descriptors();
    tcp::Listener listener(any_port);
    Pair pair = connected();
    EXPECT_EQ(error_of([&] { read_some_text(pair.client, 1s); }), std::errc::timed_out);
    EXPECT_EQ(loopback::open_descriptors(), before);
    EXPECT_EQ(network().open_sockets(), 3U);
  });
}

TEST(NetworkSeed, OnlyASimulationHasOne) {
  EXPECT_THROW(network(), std::logic_error);
  testkit::run_actors([] { EXPECT_THROW(network(), std::logic_error); });
}

// Latency.

TEST(NetworkLatency, ConnectTakesTwoWaysAndARequestTwoMore) {
  on_seeds(10, [] {
    network().latency(30ms);
    tcp::Listener listener(any_port);
    const auto start = clock::now();
    tcp::Stream client = tcp::connect(listener.local());
    EXPECT_EQ(clock::now() - start, 60ms);
    tcp::Stream server = listener.accept();
    auto echo = green::spawn([&] { server.write_all(read_text(server, 4)); });
    client.write_all("ping");
    EXPECT_EQ(read_text(client, 4), "ping");
    EXPECT_EQ(clock::now() - start, 120ms);
    echo.get();
  });
}

TEST(NetworkLatency, ARefusalTakesTwoWays) {
  simulate({}, [] {
    network().latency(10ms);
    const auto start = clock::now();
    EXPECT_EQ(error_of([] { tcp::connect({"127.0.0.1", 9}); }), std::errc::connection_refused);
    EXPECT_EQ(clock::now() - start, 20ms);
  });
}

TEST(NetworkLatency, WhatVariesStaysInOrder) {
  on_seeds(20, [] {
    Pair pair = connected();
    network().latency(1ms, 50ms);
    std::string sent;
    for (int i = 0; i < 20; ++i) {
      sent += static_cast<char>('a' + i);
      pair.client.write_all(sent.substr(sent.size() - 1));
    }
    const auto start = clock::now();
    EXPECT_EQ(read_text(pair.server, sent.size()), sent);
    EXPECT_GE(clock::now() - start, 1ms);
    EXPECT_LE(clock::now() - start, 50ms);
  });
}

TEST(NetworkLatency, ADeadlineBeforeTheArrivalExpiresAndNothingIsLost) {
  on_seeds(10, [] {
    Pair pair = connected();
    network().latency(30ms);
    pair.client.write_all("late");
    EXPECT_EQ(error_of([&] { read_some_text(pair.server, 20ms); }), std::errc::timed_out);
    EXPECT_EQ(read_text(pair.server, 4), "late");
  });
}

TEST(NetworkLatency, MakesNoSenseBelowZeroOrBackwards) {
  simulate({}, [] {
    EXPECT_THROW(network().latency(-1ns), std::invalid_argument);
    EXPECT_THROW(network().latency(2ms, 1ms), std::invalid_argument);
    EXPECT_THROW(network().buffers(0, 1), std::invalid_argument);
  });
}

// Buffers.

TEST(NetworkBuffers, AWriterParksWhenBothAreFull) {
  on_seeds(20, [] {
    network().buffers(100, 50);
    Pair pair = connected();
    auto writer = green::spawn([&] { pair.client.write_all(std::string(151, 'x')); });
    sleep(1s);
    EXPECT_FALSE(writer.ready());
    EXPECT_EQ(read_text(pair.server, 151).size(), 151U);
    writer.get();
    pair.client.write_all(std::string(100, 'x'), 0s);  // fits
  });
}

TEST(NetworkBuffers, OfOneByteCarryAnythingAllTheSame) {
  on_seeds(10, [] {
    network().buffers(1, 1);
    Pair pair = connected();
    const std::string text = "one at a time";
    auto writer = green::spawn([&] {
      pair.client.write_all(text);
      pair.client.shutdown_write();
    });
    EXPECT_EQ(read_text(pair.server, 100), text);
  });
}

// Partitions.

TEST(NetworkPartition, NothingPassesUntilItHeals) {
  on_seeds(10, [] {
    Pair pair = connected();
    network().partition(pair.client.peer());
    pair.client.write_all("to the server");
    pair.server.write_all("to the client");
    EXPECT_EQ(error_of([&] { read_some_text(pair.server, 60s); }), std::errc::timed_out);
    EXPECT_EQ(error_of([&] { read_some_text(pair.client, 60s); }), std::errc::timed_out);
    network().heal();
    EXPECT_EQ(read_text(pair.server, 13), "to the server");
    EXPECT_EQ(read_text(pair.client, 13), "to the client");
  });
}

TEST(NetworkPartition, AffectsTheConnectionsOfThatEndpointOnly) {
  on_seeds(10, [] {
    Pair one = connected();
    Pair two = connected();
    network().partition(one.client.local());
    one.client.write_all("cut");
    two.client.write_all("through");
    EXPECT_EQ(read_text(two.server, 7), "through");
    EXPECT_EQ(error_of([&] { read_some_text(one.server, 1s); }), std::errc::timed_out);
  });
}

TEST(NetworkPartition, OfPortZeroIsOneOfTheHost) {
  simulate({}, [] {
    tcp::Listener near(any_port);
    tcp::Listener far({"10.0.0.1", 80});
    network().partition({"10.0.0.1", 0});
    EXPECT_TRUE(tcp::connect(near.local()).is_open());
    EXPECT_EQ(error_of([&] { tcp::connect(far.local(), 5s); }), std::errc::timed_out);
    network().heal();
    EXPECT_EQ(tcp::connect(far.local()).peer(), far.local());
  });
}

TEST(NetworkPartition, ConnectLosesItsPatienceAsOnLinux) {
  simulate({}, [] {
    tcp::Listener listener(any_port);
    network().partition(listener.local());
    const auto start = clock::now();
    EXPECT_EQ(error_of([&] { tcp::connect(listener.local()); }), std::errc::timed_out);
    EXPECT_EQ(clock::now() - start, 127s);
    EXPECT_EQ(error_of([&] { listener.accept(0s); }), std::errc::timed_out);
  });
}

TEST(NetworkPartition, WhoWaitsForAnAnswerLosesItsPatienceAndTheOtherDoesNot) {
  simulate({}, [] {
    Pair pair = connected();
    auto reader = green::spawn([&] { return error_of([&] { read_some_text(pair.server, 2h); }); });
    network().partition(pair.client.peer());
    const auto start = clock::now();
    pair.client.write_all("hello?");
    EXPECT_EQ(error_of([&] { read_some_text(pair.client); }), std::errc::timed_out);
    EXPECT_EQ(clock::now() - start, 924600ms);
    EXPECT_EQ(error_of([&] { pair.client.write_all("x"); }), std::errc::broken_pipe);
    EXPECT_EQ(reader.get(), std::errc::timed_out);  // of its own wait
    EXPECT_EQ(clock::now() - start, 2h);
    network().heal();
    pair.server.write_all("there?");  // nobody is
    EXPECT_EQ(error_of([&] { read_some_text(pair.server); }), std::errc::connection_reset);
  });
}

TEST(NetworkPartition, AConnectionThatSaysNothingOutlivesIt) {
  simulate({}, [] {
    Pair pair = connected();
    network().partition(pair.client.peer());
    sleep(24h);
    network().heal();
    pair.client.write_all("here");
    EXPECT_EQ(read_text(pair.server, 4), "here");
  });
}

TEST(NetworkPartition, AResetThatIsSentMeanwhileIsNeverHeardOf) {
  simulate({}, [] {
    Pair pair = connected();
    pair.client.write_all("unread");
    sleep(1ms);
    network().partition(pair.client.peer());
    pair.server.close();
    EXPECT_EQ(error_of([&] { read_some_text(pair.client, 1h); }), std::errc::timed_out);
    network().heal();
    EXPECT_EQ(error_of([&] { read_some_text(pair.client, 1h); }), std::errc::timed_out);
    pair.client.write_all("anybody?");
    EXPECT_EQ(error_of([&] { read_some_text(pair.client, 1h); }), std::errc::connection_reset);
  });
}

// Resets.

TEST(NetworkReset, BothEndsFindTheirConnectionReset) {
  on_seeds(10, [] {
    Pair one = connected();
    Pair two = connected();
    auto reader = green::spawn([&] { return error_of([&] { read_some_text(one.client); }); });
    sleep(1ms);
    EXPECT_EQ(network().reset(one.client.local()), 1);
    EXPECT_EQ(reader.get(), std::errc::connection_reset);
    EXPECT_EQ(error_of([&] { one.server.write_all("x"); }), std::errc::connection_reset);
    EXPECT_EQ(network().reset({"10.0.0.1", 0}), 0);
    two.client.write_all("well");
    EXPECT_EQ(read_text(two.server, 4), "well");
  });
}

TEST(NetworkReset, OfAListenersEndpointReachesAllThatItHas) {
  on_seeds(10, [] {
    tcp::Listener listener(any_port);
    std::vector<tcp::Stream> clients;
    clients.reserve(3);
    for (int i = 0; i < 3; ++i) clients.push_back(tcp::connect(listener.local()));
    tcp::Stream accepted = listener.accept();
    EXPECT_EQ(network().reset(listener.local()), 3);
    for (tcp::Stream& client : clients)
      EXPECT_EQ(error_of([&] { read_some_text(client); }), std::errc::connection_reset);
    // As on Linux, it does not leave the queue.
    tcp::Stream late = listener.accept();
    EXPECT_EQ(error_of([&] { read_some_text(late); }), std::errc::connection_reset);
    EXPECT_TRUE(tcp::connect(listener.local()).is_open());
  });
}

TEST(NetworkReset, EndsAConnectThatIsUnderWay) {
  simulate({}, [] {
    network().latency(1s);
    tcp::Listener listener(any_port);
    auto connecting =
        green::spawn([&] { return error_of([&] { tcp::connect(listener.local()); }); });
    sleep(1500ms);  // half open
    EXPECT_EQ(network().reset(listener.local()), 1);
    EXPECT_EQ(connecting.get(), std::errc::connection_refused);
    EXPECT_EQ(error_of([&] { listener.accept(10s); }), std::errc::timed_out);
  });
}

// Descriptors.

TEST(NetworkDescriptors, WithoutOneAcceptBacksOffAndGoesOnWhenThereIsOneAgain) {
  on_seeds(10, [] {
    tcp::Listener listener(any_port);
    std::optional<tcp::Stream> other = tcp::connect(listener.local());
    tcp::Stream client = tcp::connect(listener.local());
    network().descriptor_limit(3);
    EXPECT_EQ(error_of([&] { tcp::connect(listener.local()); }), std::errc::too_many_files_open);
    EXPECT_EQ(error_of([&] { listener.accept(20ms); }), std::errc::timed_out);
    auto acceptor = green::spawn([&] { return listener.accept().peer(); });
    sleep(10s);
    EXPECT_FALSE(acceptor.ready());
    const tcp::Endpoint first = other->local();
    other.reset();
    EXPECT_EQ(acceptor.get(), first);
  });
}

TEST(NetworkDescriptors, OneThatIsNeverClosedIsNamedAsALeak) {
  tcp::Listener* listener = nullptr;
  tcp::Stream* stream = nullptr;
  const std::string text = text_of<LeakError>([&] {
    simulate({}, [&] {
      listener = new tcp::Listener({"127.0.0.1", 7000});
      stream = new tcp::Stream(tcp::connect(listener->local()));
    });
  });
  EXPECT_NE(text.find("a listener on 127.0.0.1:7000"), std::string::npos) << text;
  EXPECT_NE(text.find("connected with 127.0.0.1:7000"), std::string::npos) << text;
  // They are of no simulation any more, and of no other either.
  simulate({}, [&] {
    Pair pair = connected();
    delete listener;
    EXPECT_THROW(read_some_text(*stream), IoError);
    delete stream;
    pair.client.write_all("well");
    EXPECT_EQ(read_text(pair.server, 4), "well");
  });
}

TEST(NetworkDescriptors, OneOfTheKernelIsNoneOfASimulation) {
  tcp::Listener real(any_port);
  simulate({}, [&] { EXPECT_THROW(real.accept(), std::logic_error); });
}

TEST(NetworkDescriptors, OneOfASimulationIsOfNoUseOutside) {
  std::optional<tcp::Listener> listener;
  EXPECT_THROW(simulate({}, [&] { listener.emplace(any_port); }), LeakError);
  EXPECT_THROW(listener->accept(), std::logic_error);
  listener.reset();
}

TEST(NetworkDescriptors, NumbersAreUsedAgainWhileGreenletsStillWaitForTheOldOnes) {
  on_seeds(50, [] {
    std::vector<green::Greenlet<std::error_code>> readers;
    for (int i = 0; i < 10; ++i) {
      Pair pair = connected();
      readers.push_back(green::spawn(
          [](tcp::Stream& stream) { return error_of([&] { read_some_text(stream); }); },
          std::ref(pair.server)));
      yield();
      pair.server.close();
      Pair next = connected();
      next.client.write_all("mine");
      EXPECT_EQ(read_text(next.server, 4), "mine");
      readers.back().join();
    }
    for (auto& reader : readers) EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
  });
}

// Names, and what cannot be.

TEST(NetworkNames, AreNumbersAndLocalhostOnly) {
  simulate({}, [] {
    tcp::Listener listener({"localhost", 0});
    EXPECT_TRUE(tcp::connect({"localhost", listener.local().port}).is_open());
    const std::string text = text_of<IoError>([] { tcp::connect({"example.org", 80}); });
    EXPECT_NE(text.find("a simulation knows numeric hosts and localhost only"), std::string::npos)
        << text;
    EXPECT_NE(text.find("example.org:80"), std::string::npos) << text;
    EXPECT_EQ(error_of([] { tcp::connect({"example.org", 80}); }), std::errc::host_unreachable);
  });
}

TEST(NetworkNames, OfAnyHostAreOnesOwn) {
  simulate({}, [] {
    tcp::Listener v4({"192.0.2.7", 80});
    tcp::Listener v6({"2001:db8::7", 80});
    tcp::Stream client = tcp::connect({"192.0.2.7", 80});
    EXPECT_EQ(client.local().host, "192.0.2.7");
    EXPECT_EQ(v4.accept().peer(), client.local());
    EXPECT_EQ(tcp::connect({"2001:db8::7", 80}).peer().host, "2001:db8::7");
  });
}

TEST(Network, AReaderWhomNobodyWillWriteToIsADeadlock) {
  const std::string text = text_of<green::LoopExit>([] {
    simulate({}, [] {
      Pair pair = connected();
      read_some_text(pair.client);
    });
  });
  EXPECT_NE(text.find("tcp.read"), std::string::npos) << text;
}

// Between hubs.

TEST(NetworkHubs, AStreamIsUsedOnTheHubThatItIsHandedTo) {
  on_seeds(
      30,
      [] {
        tcp::Listener listener(any_port);
        const tcp::Endpoint endpoint = listener.local();
        const auto client = spawn_monitor(SpawnOptions{.place = Placement::next_hub}, [endpoint] {
          tcp::Stream stream = tcp::connect(endpoint);
          stream.write_all("there and back");
          EXPECT_EQ(read_text(stream, 14), "there and back");
        });
        tcp::Stream stream = listener.accept();
        // Used here first: it has to move.
        EXPECT_EQ(read_text(stream, 5), "there");
        spawn(
            SpawnOptions{.place = Placement::next_hub},
            [](tcp::Stream moved) {
              const std::string rest = read_text(moved, 9);
              moved.write_all("there" + rest);
              read_some_text(moved);
            },
            std::move(stream));
        receive(when([&](const Down& down) { return down.ref == client.ref; },
                     [](const Down& down) { EXPECT_EQ(down.reason, Reason::normal); }));
      },
      3);
}

TEST(NetworkHubs, AStreamThatIsClosedElsewhereIsClosedAtHome) {
  on_seeds(
      20,
      [] {
        Pair pair = connected();
        EXPECT_EQ(error_of([&] { read_some_text(pair.server, 1ms); }), std::errc::timed_out);
        spawn(
            SpawnOptions{.place = Placement::next_hub}, [](tcp::Stream) {}, std::move(pair.server));
        EXPECT_EQ(read_some_text(pair.client), "");
      },
      2);
}

}  // namespace
}  // namespace greenroom
