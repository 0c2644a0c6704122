// TLS in a simulation: the same conversation over a network that cuts bytes anywhere, and with a
// kill at every suspension point. Nobody may notice but the peer: no socket stays open, nobody
// waits for ever.
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/io/tls.h"
#include "greenroom/tests/io/tls/tls_loopback.h"
#include "greenroom/tests/sweep/sweep.h"

namespace greenroom::sweep {
namespace {

using namespace std::chrono_literals;
using testkit::network;
using tls_loopback::client_context;
using tls_loopback::connected;
using tls_loopback::Pair;
using tls_loopback::pattern;
using tls_loopback::read_some_text;
using tls_loopback::read_text;
using tls_loopback::server_context;

const tcp::Endpoint any_port{"127.0.0.1", 0};

// Of a peer that was killed.
template <class F>
void tolerantly(F f) {
  try {
    f();
  } catch (const IoError&) {
  }
}

void echo(tcp::Stream socket, const tls::ServerContext& context) {
  tolerantly([&] {
    tls::Stream stream = tls::accept(std::move(socket), context, 5s);
    for (std::string text; !(text = read_some_text(stream)).empty();) stream.write_all(text);
  });
}

const std::string sent(500, 'x');

void talk(const tcp::Endpoint& endpoint, const tls::ClientContext& context) {
  std::string heard;
  tolerantly([&] {
    tls::Stream stream = tls::connect(endpoint, context, 5s);
    stream.write_all(sent.substr(0, 100));
    heard = read_text(stream, 100);
    stream.write_all(sent.substr(100));
    stream.shutdown_write();
    heard += read_text(stream, 1000);
  });
  // All of it, or what came before somebody died.
  EXPECT_EQ(sent.rfind(heard, 0), 0U) << heard;
}

TEST(TlsSweep, WhoShakesHandsReadsOrWritesLeavesNoSocketAndNoOneWaiting) {
  const tls::ServerContext server = server_context();
  const tls::ClientContext client = client_context();
  sweep(6, {1, 2}, [&] {
    network().buffers(200, 200);
    std::optional<tcp::Listener> listener(any_port);
    const auto acceptor =
        spawn_monitor([&] { spawn(anywhere(), echo, listener->accept(2s), server); });
    const auto talker = spawn_monitor(anywhere(), talk, listener->local(), client);
    join({acceptor});
    listener.reset();  // a client that was not accepted is told
    join({talker});
    sleep(10s);
    EXPECT_EQ(network().open_sockets(), 0U);
  });
}

TEST(TlsSimulation, BytesArriveWholeBothWaysAtOnceHoweverTheyAreCut) {
  for (int seed = 0; seed < testkit::scale(20) && !testing::Test::HasFailure(); ++seed) {
    testkit::simulate({.seed = static_cast<std::uint64_t>(seed), .hubs = 2}, [] {
      network().buffers(3000, 3000);
      network().latency(0ms, 3ms);
      Pair pair = connected();
      const std::string up = pattern(100'000);
      const std::string down = pattern(100'001);
      auto send_up = green::spawn([&] { pair.client.write_all(up); });
      auto send_down = green::spawn([&] { pair.server.write_all(down); });
      auto read_up = green::spawn([&] { return read_text(pair.server, up.size()) == up; });
      EXPECT_TRUE(read_text(pair.client, down.size()) == down);
      EXPECT_TRUE(read_up.get());
      send_up.get();
      send_down.get();
    });
  }
}

TEST(TlsSimulation, VerbsAreOnTimeByTheVirtualClock) {
  testkit::simulate({}, [] {
    tcp::Listener silent(any_port);
    const auto start = clock::now();
    EXPECT_EQ(loopback::error_of([&] { tls::connect(silent.local(), client_context(), 3s); }),
              std::errc::timed_out);
    EXPECT_EQ(clock::now() - start, 3s);
    Pair pair = connected();
    const auto then = clock::now();
    EXPECT_EQ(loopback::error_of([&] { read_some_text(pair.client, 5s); }), std::errc::timed_out);
    EXPECT_EQ(clock::now() - then, 5s);
    EXPECT_EQ(loopback::error_of([&] { pair.client.write_all(pattern(1'000'000), 7s); }),
              std::errc::timed_out);
    EXPECT_EQ(clock::now() - then, 12s);
  });
}

TEST(TlsSimulation, ConnectionThatIsResetIsAnErrorAndNoEnd) {
  testkit::simulate({}, [] {
    Pair pair = connected();
    auto reader =
        green::spawn([&] { return loopback::error_of([&] { read_some_text(pair.client); }); });
    sleep(1ms);
    network().reset(pair.client.local());
    EXPECT_EQ(reader.get(), std::errc::connection_reset);
    EXPECT_EQ(loopback::error_of([&] { read_some_text(pair.client); }), tls::Failure::truncated);
  });
}

}  // namespace
}  // namespace greenroom::sweep
