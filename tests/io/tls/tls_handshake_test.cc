// TLS handshakes over the kernel's loopback: who is let in, who is refused and in which words, and
// how one is cut short.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "greenroom/tests/io/tls/tls_loopback.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using certificates::Authority;
using certificates::Files;
using loopback::error_of;
using tls_loopback::authority;
using tls_loopback::client_context;
using tls_loopback::connected;
using tls_loopback::Outcome;
using tls_loopback::outcome_of;
using tls_loopback::Pair;
using tls_loopback::read_some_text;
using tls_loopback::server_context;
using tls_loopback::server_files;
using tls_loopback::words_of;

tls::ServerContext server_with(const Files& files) {
  return tls::ServerContext({.certificate_file = files.certificate, .key_file = files.key});
}

// What comes after "tls.handshake 127.0.0.1:4711 as 127.0.0.1: ".
std::string reason_of(const std::string& words) {
  return words.empty() ? words : words.substr(words.rfind(": ") + 2);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Whom a client refuses.

TEST(TlsHandshake, ServerIsVerifiedByItsAddressOrItsName) {
  for (const char* host : {"127.0.0.1", "localhost"}) {
    const Outcome outcome = outcome_of(server_context(), client_context(), host);
    EXPECT_EQ(outcome.client, "") << host;
    EXPECT_EQ(outcome.server, "") << host;
  }
}

TEST(TlsHandshake, ExpiredCertificateIsRefused) {
  const Files files = authority().issue({.valid_from = -7200, .valid_until = -3600});
  const Outcome outcome = outcome_of(server_with(files), client_context());
  EXPECT_TRUE(contains(outcome.client, "tls.handshake 127.0.0.1:")) << outcome.client;
  EXPECT_TRUE(contains(outcome.client, "certificate refused: certificate has expired"))
      << outcome.client;
  EXPECT_TRUE(contains(outcome.server, "alert certificate expired")) << outcome.server;
  EXPECT_TRUE(contains(outcome.server, "the peer refuses")) << outcome.server;
}

TEST(TlsHandshake, CertificateOfTomorrowIsRefused) {
  const Files files = authority().issue({.valid_from = 3600, .valid_until = 7200});
  const Outcome outcome = outcome_of(server_with(files), client_context());
  EXPECT_EQ(reason_of(outcome.client), "certificate is not yet valid");
}

TEST(TlsHandshake, CertificateOfAnotherHostIsRefused) {
  const Files files = authority().issue({.alternatives = "DNS:elsewhere.example,IP:10.0.0.1"});
  EXPECT_EQ(reason_of(outcome_of(server_with(files), client_context(), "localhost").client),
            "hostname mismatch");
  EXPECT_EQ(reason_of(outcome_of(server_with(files), client_context(), "127.0.0.1").client),
            "IP address mismatch");
}

TEST(TlsHandshake, CommonNameIsNoHostName) {
  const Files files = authority().issue({.name = "localhost", .alternatives = "IP:10.0.0.1"});
  EXPECT_EQ(reason_of(outcome_of(server_with(files), client_context(), "localhost").client),
            "hostname mismatch");
}

TEST(TlsHandshake, CertificateOfAnUnknownAuthorityIsRefused) {
  const Authority stranger("stranger");
  const Outcome outcome = outcome_of(server_with(stranger.issue()), client_context());
  EXPECT_EQ(reason_of(outcome.client), "unable to get local issuer certificate");
  EXPECT_TRUE(contains(outcome.server, "alert unknown ca")) << outcome.server;
}

TEST(TlsHandshake, TheSystemsAuthoritiesDoNotKnowThisOne) {
  const Outcome outcome = outcome_of(server_context(), tls::ClientContext({}));
  EXPECT_EQ(reason_of(outcome.client), "unable to get local issuer certificate");
}

TEST(TlsHandshake, RefusalComparesWithItsFailure) {
  const Authority stranger("stranger");
  tcp::Listener listener({"127.0.0.1", 0});
  std::error_code heard;
  auto accepting = green::spawn([&] {
    heard = error_of([&] { tls::accept(listener.accept(), server_with(stranger.issue()), 20s); });
  });
  const std::error_code said =
      error_of([&] { tls::connect(listener.local(), client_context(), 20s); });
  accepting.get();
  EXPECT_EQ(said, tls::Failure::certificate);
  EXPECT_EQ(heard, tls::Failure::refused);
  EXPECT_NE(heard, tls::Failure::protocol);
}

TEST(TlsHandshake, VerifyNothingTakesAnybody) {
  const Files files = authority().issue({.valid_from = -7200, .valid_until = -3600});
  const Outcome outcome =
      outcome_of(server_with(files), tls::ClientContext({.verify = tls::Verify::nothing}));
  EXPECT_EQ(outcome.client, "");
}

TEST(TlsHandshake, NameOfTheServerMayBeAnotherThanTheEndpoints) {
  const Files files = authority().issue({.alternatives = "DNS:*.green.example"});
  const auto client = [](const char* name) {
    return tls::ClientContext({.server_name = name, .ca_file = authority().file()});
  };
  EXPECT_EQ(outcome_of(server_with(files), client("room.green.example")).client, "");
  EXPECT_EQ(outcome_of(server_with(files), client("room.green.example.")).client, "");
  EXPECT_EQ(reason_of(outcome_of(server_with(files), client("green.example")).client),
            "hostname mismatch");
}

TEST(TlsHandshake, NameWithAZeroByteIsRefusedBeforeAnythingIsSent) {
  tcp::Listener listener({"127.0.0.1", 0});
  const tls::ClientContext client({.server_name = std::string("localhost\0.evil.example", 23)});
  try {
    tls::connect(listener.local(), client);
    ADD_FAILURE();
  } catch (const IoError& error) {
    EXPECT_EQ(error.code(), std::errc::invalid_argument);
    EXPECT_NE(std::string(error.what()).find("localhost\\0.evil.example"), std::string::npos)
        << error.what();
  }
}

TEST(TlsHandshake, OptionsMakeAContextForOneConnection) {
  tcp::Listener listener({"127.0.0.1", 0});
  auto accepting = green::spawn([&] {
    tls::Stream stream = tls::accept(listener.accept(), server_context(), 20s);
    stream.write_all(read_some_text(stream));
  });
  tls::Stream client = tls::connect(listener.local(), {.ca_file = authority().file()}, 20s);
  client.write_all("once");
  EXPECT_EQ(read_some_text(client), "once");
  accepting.get();
}

// What both agree on.

TEST(TlsHandshake, VersionIsTheNewestThatBothSpeak) {
  const auto server = [](tls::Version version) {
    return tls::ServerContext({.certificate_file = server_files().certificate,
                               .key_file = server_files().key,
                               .min_version = version});
  };
  EXPECT_EQ(connected(server(tls::Version::tls13), client_context()).client.version(),
            tls::Version::tls13);
  EXPECT_EQ(connected(server(tls::Version::tls12), client_context()).server.version(),
            tls::Version::tls13);
}

TEST(TlsHandshake, AlpnIsTheServersFirstThatTheClientOffers) {
  const auto server = [](std::vector<std::string> alpn) {
    return tls::ServerContext({.certificate_file = server_files().certificate,
                               .key_file = server_files().key,
                               .alpn = std::move(alpn)});
  };
  const auto client = [](std::vector<std::string> alpn) {
    return tls::ClientContext({.ca_file = authority().file(), .alpn = std::move(alpn)});
  };
  Pair pair = connected(server({"h2", "http/1.1"}), client({"http/1.1", "h2"}));
  EXPECT_EQ(pair.client.alpn(), "h2");
  EXPECT_EQ(pair.server.alpn(), "h2");
  EXPECT_EQ(connected(server({"h2"}), client({})).client.alpn(), "");
  EXPECT_EQ(connected(server({}), client({"h2"})).client.alpn(), "");
  const Outcome outcome = outcome_of(server({"h2"}), client({"http/1.1"}));
  EXPECT_TRUE(contains(outcome.client, "no application protocol")) << outcome.client;
}

TEST(TlsHandshake, ServerWithAClientAuthorityKnowsItsClients) {
  const Authority clients("clients");
  const tls::ServerContext server({.certificate_file = server_files().certificate,
                                   .key_file = server_files().key,
                                   .client_ca_file = clients.file()});
  const auto client = [](const Files& files) {
    return tls::ClientContext({.ca_file = authority().file(),
                               .certificate_file = files.certificate,
                               .key_file = files.key});
  };
  Pair pair = connected(server, client(clients.issue({.name = "ann"})));
  EXPECT_EQ(pair.server.peer_certificate_subject(), "CN=ann");

  const Outcome nobody = outcome_of(server, client_context());
  EXPECT_EQ(reason_of(nobody.server), "peer did not return a certificate");
  EXPECT_TRUE(contains(nobody.client, "certificate required")) << nobody.client;

  const Outcome other = outcome_of(server, client(authority().issue()));
  EXPECT_EQ(reason_of(other.server), "unable to get local issuer certificate");
}

// Peers that do not speak TLS, or not any more.

std::string words_of_server_hearing(const std::string& text) {
  loopback::Pair pair = loopback::connected();
  pair.client.write_all(text);
  std::string words = words_of([&] { tls::accept(std::move(pair.server), server_context(), 20s); });
  // And the connection is closed.
  EXPECT_TRUE(error_of([&] {
                while (!loopback::read_some_text(pair.client, 20s).empty()) {
                }
              }) != std::errc::timed_out);
  return words;
}

TEST(TlsHandshake, PlainTextClientIsToldApart) {
  EXPECT_TRUE(contains(words_of_server_hearing("GET / HTTP/1.1\r\n\r\n"),
                       "the peer does not speak TLS (http request)"));
  EXPECT_TRUE(contains(words_of_server_hearing("hello, is anybody there?\r\n"),
                       "the peer does not speak TLS (wrong version number)"));
}

TEST(TlsHandshake, PlainTextServerIsToldApart) {
  tcp::Listener listener({"127.0.0.1", 0});
  auto accepting = green::spawn([&] {
    tcp::Stream stream = listener.accept();
    stream.write_all("220 mail.example ready\r\n");
    loopback::read_some_text(stream);
  });
  EXPECT_TRUE(contains(words_of([&] { tls::connect(listener.local(), client_context(), 20s); }),
                       "the peer does not speak TLS (wrong version number)"));
  accepting.get();
}

TEST(TlsHandshake, PeerThatLeavesIsATruncation) {
  loopback::Pair pair = loopback::connected();
  pair.client.close();
  EXPECT_EQ(error_of([&] { tls::accept(std::move(pair.server), server_context()); }),
            tls::Failure::truncated);
}

// A connection whose TCP ends without close_notify: a relay between the two cuts it.
tls::Stream cut_after_a_word(tls::Truncation truncation) {
  tcp::Listener listener({"127.0.0.1", 0});
  tcp::Listener relay({"127.0.0.1", 0});
  auto accepting = green::spawn([&] {
    tls::Stream server = tls::accept(listener.accept(), server_context(), 20s);
    server.write_all("a word");
    EXPECT_NE(error_of([&] { read_some_text(server); }), std::error_code());
  });
  auto relaying = green::spawn([&] {
    tcp::Stream client = relay.accept();
    tcp::Stream server = tcp::connect(listener.local());
    auto up = green::spawn([&] {
      for (std::string text; !(text = loopback::read_some_text(client)).empty();)
        server.write_all(text);
    });
    const std::string down = loopback::read_some_text(server);
    client.write_all(down);
    client.write_all(loopback::read_some_text(server));
    loopback::settle();
    up.kill();
  });
  tls::Stream stream = tls::connect(
      relay.local(), tls::ClientContext({.ca_file = authority().file(), .truncation = truncation}),
      20s);
  EXPECT_EQ(read_some_text(stream), "a word");
  relaying.get();
  accepting.get();
  return stream;
}

TEST(TlsHandshake, EndWithoutCloseNotifyIsAnErrorAgainAndAgain) {
  tls::Stream stream = cut_after_a_word(tls::Truncation::is_error);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(error_of([&] { read_some_text(stream); }), tls::Failure::truncated);
    EXPECT_TRUE(contains(words_of([&] { read_some_text(stream); }), "truncated"));
  }
}

TEST(TlsHandshake, EndWithoutCloseNotifyIsAnEndIfTheContextSaysSo) {
  tls::Stream stream = cut_after_a_word(tls::Truncation::is_end);
  EXPECT_EQ(read_some_text(stream), "");
  EXPECT_EQ(read_some_text(stream), "");
}

// Cut short on this side.

TEST(TlsHandshake, TimesOutOnBothSides) {
  loopback::Pair pair = loopback::connected();
  EXPECT_EQ(error_of([&] { tls::accept(std::move(pair.server), server_context(), 1ms); }),
            std::errc::timed_out);
  tcp::Listener silent({"127.0.0.1", 0});
  EXPECT_EQ(error_of([&] { tls::connect(silent.local(), client_context(), 1ms); }),
            std::errc::timed_out);
  EXPECT_THROW(with_deadline(1ms, [&] { tls::connect(silent.local(), client_context()); }),
               TimeoutError);
}

TEST(TlsHandshake, KilledOnEitherSideItLeavesNothingOpen) {
  connected();
  const int before = loopback::open_descriptors();
  {
    loopback::Pair pair = loopback::connected();
    const tls::ServerContext context = server_context();
    auto accepting = green::spawn([&] { tls::accept(std::move(pair.server), context); });
    tcp::Listener silent({"127.0.0.1", 0});
    auto connecting = green::spawn([&] { tls::connect(silent.local(), client_context()); });
    loopback::settle();
    EXPECT_FALSE(accepting.ready());
    EXPECT_FALSE(connecting.ready());
    accepting.kill();
    connecting.kill();
    EXPECT_EQ(loopback::read_some_text(pair.client), "");
  }
  EXPECT_EQ(loopback::open_descriptors(), before);
}

TEST(TlsHandshake, ThatIsCompleteInTheRoundOfTheDeadlineBeatsIt) {
  tcp::Listener listener({"127.0.0.1", 0});
  const tls::ClientContext client = client_context();
  const auto deadline = clock::now() + 40ms;
  auto connecting = green::spawn(
      [&] { return error_of([&] { tls::connect(listener.local(), client, deadline); }); });
  tls::Stream server = tls::accept(listener.accept(), server_context(), 20s);
  // The server is done after the client's last word, and has sent its own long ago.
  loopback::compute_until(deadline + 1ms);
  EXPECT_EQ(connecting.get(), std::error_code());
}

TEST(TlsHandshake, ClosedConnectionIsRefused) {
  EXPECT_EQ(error_of([&] { tls::accept(tcp::Stream(), server_context()); }),
            std::errc::bad_file_descriptor);
}

}  // namespace
}  // namespace greenroom
