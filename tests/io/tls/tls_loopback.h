// What the tests of TLS share: an authority, its server, and connections between the two.
#pragma once

#include <string>
#include <utility>

#include "greenroom/io/tcp.h"
#include "greenroom/io/tls.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/tests/io/loopback.h"
#include "greenroom/tests/io/tls/certificates.h"

namespace greenroom::tls_loopback {

// For the whole test program.
const certificates::Authority& authority();
const certificates::Files& server_files();

// The authority's server, and a client that trusts it.
tls::ServerContext server_context();
tls::ClientContext client_context();

struct Pair {
  tls::Stream client;
  tls::Stream server;
};
Pair connected(const tls::ServerContext& server, const tls::ClientContext& client);
Pair connected();

// What a handshake between the two ended by, on each side; empty if it succeeded.
struct Outcome {
  std::string client;
  std::string server;
};
// The server reads once, the client writes and reads once: with TLS 1.3 the server's verdict on a
// client comes after the client's handshake.
Outcome outcome_of(const tls::ServerContext& server, const tls::ClientContext& client,
                   const std::string& host = "127.0.0.1");

// What f ended by: what() of its IoError, or nothing.
template <class F>
std::string words_of(F f) {
  try {
    f();
    return {};
  } catch (const IoError& error) {
    return error.what();
  }
}

std::string read_some_text(tls::Stream& stream, Wait wait = Wait::forever());
// Reads until there are `size` bytes or the stream ends.
std::string read_text(tls::Stream& stream, std::size_t size);
std::string pattern(std::size_t size);

}  // namespace greenroom::tls_loopback
