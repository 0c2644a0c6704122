// TLS with a peer that is not ours: the openssl command, as a client and as a server.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>

#include "greenroom/scheduler/greenlet/offload.h"
#include "greenroom/tests/io/tls/tls_loopback.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using tls_loopback::authority;
using tls_loopback::client_context;
using tls_loopback::read_some_text;
using tls_loopback::server_context;
using tls_loopback::server_files;

// A command whose output is read; it is over when the object is gone. All of it on the pool, as it
// stops the thread.
class Command {
 public:
  explicit Command(std::string line)
      : pipe_(offload([line = "exec timeout 60 " + line] {
          return std::shared_ptr<std::FILE>(::popen(line.c_str(), "re"), &::pclose);
        })) {}
  ~Command() {
    const Uncancellable until_it_has_ended;
    offload([pipe = std::move(pipe_)]() mutable { pipe.reset(); });
  }
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  // Nothing at the end.
  std::string line() const {
    return offload([pipe = pipe_] {
      std::array<char, 1000> text{};
      return std::string(std::fgets(text.data(), text.size(), pipe.get()) ? text.data() : "");
    });
  }
  std::string rest() const {
    std::string all;
    for (std::string part; !(part = line()).empty();) all += part;
    return all;
  }

 private:
  std::shared_ptr<std::FILE> pipe_;
};

struct Protocol {
  const char* option;
  tls::Version version;
};
std::ostream& operator<<(std::ostream& out, const Protocol& protocol) {
  return out << protocol.option;
}

class TlsForeign : public testing::TestWithParam<Protocol> {};

std::string client_line(const tcp::Endpoint& server, const std::string& input,
                        const std::string& options) {
  return "sh -c \"printf '" + input + "' | openssl s_client -connect " + tcp::to_string(server) +
         " -CAfile " + authority().file() + " -verify_return_error -servername localhost " +
         options + " 2>&1\"";
}

TEST_P(TlsForeign, ClientIsServed) {
  tcp::Listener listener({"127.0.0.1", 0});
  auto serving = green::spawn([&] {
    tls::Stream stream = tls::accept(listener.accept(), server_context(), 20s);
    EXPECT_EQ(stream.version(), GetParam().version);
    const std::string request = read_some_text(stream, 20s);
    stream.write_all("you said " + request);
  });
  const Command client(
      client_line(listener.local(), "good evening\\n", GetParam().option + std::string(" -quiet")));
  const std::string heard = client.rest();
  EXPECT_NE(heard.find("you said good evening\n"), std::string::npos) << heard;
  serving.get();
}

TEST_P(TlsForeign, ServerAnswers) {
  const Command server("openssl s_server -accept 127.0.0.1:0 -naccept 1 -rev -cert " +
                       server_files().certificate + " -key " + server_files().key + " " +
                       GetParam().option + " 2>&1 </dev/null");
  std::string line;
  while ((line = server.line()).rfind("ACCEPT ", 0) != 0) ASSERT_NE(line, "");
  const auto port = static_cast<std::uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
  tls::Stream stream = tls::connect({"localhost", port}, client_context(), 20s);
  EXPECT_EQ(stream.version(), GetParam().version);
  stream.write_all("drawer\n");
  EXPECT_EQ(read_some_text(stream, 20s), "reward\n");
  stream.write_all("CLOSE\n");
  EXPECT_EQ(read_some_text(stream, 20s), "");
}

INSTANTIATE_TEST_SUITE_P(Versions, TlsForeign,
                         testing::Values(Protocol{"-tls1_2", tls::Version::tls12},
                                         Protocol{"-tls1_3", tls::Version::tls13}),
                         [](const auto& info) { return std::string(info.param.option + 1); });

TEST(TlsForeign, OldVersionIsRefused) {
  tcp::Listener listener({"127.0.0.1", 0});
  auto serving = green::spawn([&] {
    return loopback::error_of([&] { tls::accept(listener.accept(), server_context(), 20s); });
  });
  const Command client(
      client_line(listener.local(), "", "-tls1_1 -cipher DEFAULT@SECLEVEL=0 -quiet"));
  EXPECT_NE(client.rest().find("protocol version"), std::string::npos);
  EXPECT_EQ(serving.get(), tls::Failure::protocol);
}

// A server whose key allows for the suites of old.
struct RsaServer {
  explicit RsaServer(std::vector<std::string> ciphers)
      : context({.certificate_file = files().certificate,
                 .key_file = files().key,
                 .tls12_ciphers = std::move(ciphers)}) {}
  static const certificates::Files& files() {
    static const certificates::Files made = authority().issue({.key = certificates::KeyType::rsa});
    return made;
  }

  // What the openssl command hears of this server with TLS 1.2 and these suites.
  std::string heard_with(const std::string& ciphers) {
    auto serving = green::spawn([&] {
      try {
        tls::Stream stream = tls::accept(listener.accept(), context, 20s);
        stream.write_all("welcome\n");
      } catch (const IoError& error) {
        EXPECT_EQ(error.code(), tls::Failure::protocol);
      }
    });
    // With its input at an end the command leaves as soon as it has shaken hands, unless told not
    // to.
    const Command client(client_line(listener.local(), "", "-ign_eof -tls1_2 -cipher " + ciphers));
    std::string heard = client.rest();
    serving.get();
    return heard;
  }

  tls::ServerContext context;
  tcp::Listener listener{{"127.0.0.1", 0}};
};

TEST(TlsForeign, ForwardSecretAeadSuitesOfTls12AreSpoken) {
  RsaServer server({});
  for (const std::string suite : {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384",
                                  "ECDHE-RSA-CHACHA20-POLY1305"}) {
    const std::string heard = server.heard_with(suite);
    EXPECT_NE(heard.find("welcome"), std::string::npos) << heard;
    EXPECT_NE(heard.find("Cipher is " + suite), std::string::npos) << heard;
  }
}

TEST(TlsForeign, SuitesWithoutForwardSecrecyOrWithPaddingAreRefused) {
  RsaServer server({});
  for (const char* suite : {"AES128-SHA", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA",
                            "ECDHE-RSA-AES256-SHA384", "DHE-RSA-AES128-SHA256"}) {
    const std::string heard = server.heard_with(suite);
    EXPECT_NE(heard.find("handshake failure"), std::string::npos) << suite << ": " << heard;
  }
}

TEST(TlsForeign, SuitesThatTheOptionNamesAreSpokenInItsOrder) {
  RsaServer server({"AES128-SHA", "ECDHE-RSA-AES256-GCM-SHA384"});
  const std::string heard = server.heard_with("ECDHE-RSA-AES256-GCM-SHA384:AES128-SHA");
  EXPECT_NE(heard.find("Cipher is AES128-SHA"), std::string::npos) << heard;
  EXPECT_NE(server.heard_with("ECDHE-RSA-AES128-GCM-SHA256").find("handshake failure"),
            std::string::npos);
}

// A client of ours offers no more than a server of ours speaks.
TEST(TlsForeign, ClientOffersForwardSecretAeadSuitesOnly) {
  const auto refused_by = [](const std::string& ciphers) {
    const Command server("openssl s_server -accept 127.0.0.1:0 -naccept 1 -rev -tls1_2 -cert " +
                         RsaServer::files().certificate + " -key " + RsaServer::files().key +
                         " -cipher " + ciphers + " 2>&1 </dev/null");
    std::string line;
    while ((line = server.line()).rfind("ACCEPT ", 0) != 0 && !line.empty()) {
    }
    const auto port = static_cast<std::uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
    return tls_loopback::words_of([&] {
      tls::connect({"localhost", port}, client_context(), 20s);
    });
  };
  const std::string words = refused_by("AES128-SHA:ECDHE-RSA-AES128-SHA");
  EXPECT_NE(words.find("handshake failure"), std::string::npos) << words;
  EXPECT_EQ(refused_by("ECDHE-RSA-AES128-GCM-SHA256"), "");
}

}  // namespace
}  // namespace greenroom
