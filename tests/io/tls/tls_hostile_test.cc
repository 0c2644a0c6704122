// What a peer may do with OpenSSL itself: new keys, renegotiation, and floods of either.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <memory>
#include <thread>

#include "greenroom/tests/io/tls/tls_loopback.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using loopback::error_of;
using tls_loopback::read_some_text;
using tls_loopback::server_context;

constexpr int small_buffer = 4096;

void set_buffers(int fd) {
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small_buffer, sizeof small_buffer);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small_buffer, sizeof small_buffer);
}

// A client on a thread of its own, with a blocking socket and little room in it.
class Peer {
 public:
  Peer(std::uint16_t port, int version, std::function<void(SSL*)> act)
      : thread_([=] { run(port, version, act); }) {}
  ~Peer() { thread_.join(); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

 private:
  static void run(std::uint16_t port, int version, const std::function<void(SSL*)>& act) {
    sigset_t broken_pipe;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    set_buffers(fd);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(
        SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
    SSL_CTX_set_max_proto_version(context.get(), version);
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), &SSL_free);
    SSL_set_fd(ssl.get(), fd);
    EXPECT_EQ(SSL_connect(ssl.get()), 1);
    act(ssl.get());
    ::close(fd);
  }

  std::thread thread_;
};

tls::Stream accept_with_little_room(tcp::Listener& listener) {
  tcp::Stream stream = listener.accept(20s);
  set_buffers(detail::StreamAccess::socket(stream, "test").fd());
  return tls::accept(std::move(stream), server_context(), 20s);
}

TEST(TlsHostile, NewKeysAreTakenAndAnswered) {
  tcp::Listener listener({"127.0.0.1", 0});
  const Peer peer(listener.local().port, TLS1_3_VERSION, [](SSL* ssl) {
    for (int i = 0; i < 3; ++i) {
      char answer[3] = {};
      EXPECT_EQ(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
      EXPECT_EQ(SSL_write(ssl, "abc", 3), 3);
      EXPECT_EQ(SSL_read(ssl, answer, 3), 3);
      EXPECT_EQ(std::string(answer, 3), "abc");
    }
    SSL_shutdown(ssl);
  });
  tls::Stream stream = accept_with_little_room(listener);
  for (std::string text; !(text = read_some_text(stream, 20s)).empty();) stream.write_all(text);
}

TEST(TlsHostile, RenegotiationIsRefused) {
  tcp::Listener listener({"127.0.0.1", 0});
  const Peer peer(listener.local().port, TLS1_2_VERSION, [](SSL* ssl) {
    SSL_renegotiate(ssl);
    EXPECT_NE(SSL_do_handshake(ssl), 1);
  });
  tls::Stream stream = accept_with_little_room(listener);
  EXPECT_NE(error_of([&] { read_some_text(stream, 20s); }), std::errc::timed_out);
}

TEST(TlsHostile, WhoAsksForAnswersAndReadsNoneIsCutOff) {
  tcp::Listener listener({"127.0.0.1", 0});
  const Peer peer(listener.local().port, TLS1_3_VERSION, [](SSL* ssl) {
    while (SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1) {
    }
  });
  tls::Stream stream = accept_with_little_room(listener);
  std::error_code error = error_of([&] { read_some_text(stream); });
  EXPECT_EQ(error, tls::Failure::protocol) << error.message();
  EXPECT_NE(error.message().find("does not read them"), std::string::npos) << error.message();
  stream.close();
}

TEST(TlsHostile, FloodOfRecordsWithoutDataHoldsUpNeitherTheHubNorTheDeadline) {
  tcp::Listener listener({"127.0.0.1", 0});
  const Peer peer(listener.local().port, TLS1_3_VERSION, [](SSL* ssl) {
    while (SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1) {
    }
  });
  tls::Stream stream = accept_with_little_room(listener);
  int turns = 0;
  auto other = green::spawn([&] {
    for (;; ++turns) yield();
  });
  EXPECT_EQ(error_of([&] { read_some_text(stream, 50ms); }), std::errc::timed_out);
  EXPECT_GT(turns, 0);
  other.kill();
  auto reader = green::spawn([&] { read_some_text(stream); });
  sleep(1ms);
  reader.kill();
  EXPECT_TRUE(reader.ready());
  stream.close();
}

}  // namespace
}  // namespace greenroom
