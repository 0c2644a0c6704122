#include "greenroom/tests/io/tls/tls_loopback.h"

#include <algorithm>

namespace greenroom::tls_loopback {

using namespace std::chrono_literals;

const certificates::Authority& authority() {
  static const certificates::Authority made;
  return made;
}

const certificates::Files& server_files() {
  static const certificates::Files made = authority().issue();
  return made;
}

tls::ServerContext server_context() {
  return tls::ServerContext(
      {.certificate_file = server_files().certificate, .key_file = server_files().key});
}

tls::ClientContext client_context() { return tls::ClientContext({.ca_file = authority().file()}); }

Pair connected(const tls::ServerContext& server, const tls::ClientContext& client) {
  tcp::Listener listener({"127.0.0.1", 0});
  Pair pair;
  auto accepting = green::spawn([&] { pair.server = tls::accept(listener.accept(), server, 20s); });
  pair.client = tls::connect(listener.local(), client, 20s);
  accepting.get();
  return pair;
}

Pair connected() { return connected(server_context(), client_context()); }

Outcome outcome_of(const tls::ServerContext& server, const tls::ClientContext& client,
                   const std::string& host) {
  tcp::Listener listener({"127.0.0.1", 0});
  Outcome outcome;
  auto accepting = green::spawn([&] {
    outcome.server = words_of([&] {
      tls::Stream stream = tls::accept(listener.accept(), server, 20s);
      stream.write_all(read_some_text(stream, 20s));
    });
  });
  outcome.client = words_of([&] {
    tls::Stream stream = tls::connect({host, listener.local().port}, client, 20s);
    stream.write_all("hello");
    read_some_text(stream, 20s);
  });
  accepting.get();
  return outcome;
}

std::string read_some_text(tls::Stream& stream, Wait wait) {
  char buffer[4096];
  const std::size_t size = stream.read_some(std::as_writable_bytes(std::span(buffer)), wait);
  return std::string(buffer, size);
}

std::string read_text(tls::Stream& stream, std::size_t size) {
  std::string text;
  std::string part(64 * 1024, '\0');
  while (text.size() < size) {
    const std::span<char> room(part.data(), std::min(part.size(), size - text.size()));
    const std::size_t read = stream.read_some(std::as_writable_bytes(room));
    if (read == 0) break;
    text.append(part, 0, read);
  }
  return text;
}

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + (i >> 11));
  return text;
}

}  // namespace greenroom::tls_loopback
