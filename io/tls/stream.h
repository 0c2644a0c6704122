// tls::Stream: one end of a TLS connection, and how it comes about.
//
// Move-only; as tcp::Stream for one hub at a time, with at most one greenlet that reads and one
// that writes, at the same time if they like; it may be handed to a greenlet of another hub while
// nobody waits for it. SIGPIPE is never raised. There is no renegotiation.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "greenroom/io/socket/endpoint.h"
#include "greenroom/io/socket/io_error.h"
#include "greenroom/io/stream/stream.h"
#include "greenroom/io/tls/context.h"
#include "greenroom/io/tls/error.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom {

namespace detail {

class TlsSession;

struct EndTlsSession {
  void operator()(TlsSession* session) const noexcept;
};

struct TlsStreamAccess;

}  // namespace detail

namespace tls {

class Stream {
 public:
  // A closed one.
  Stream() = default;

  // **Blocks.** until there are bytes: at least one, at most what fits, in the order they were
  // sent; 0 once the peer has said that there are no more. Throws IoError: timed_out if the wait
  // was over first, Failure::truncated if the connection ended without a word, unless the context
  // takes that for an end, and Failure::refused if the peer has given up, which it may do here over
  // a client's certificate. Throws std::invalid_argument for an empty buffer. Killed while parked,
  // it has read nothing. ConcurrentUse if another greenlet reads.
  std::size_t read_some(std::span<std::byte> buffer, Wait wait = Wait::forever());

  // **Blocks.** until the kernel has taken all of it. Throws IoError; the wait is for the whole.
  // Killed or timed out, it may have written any part; what is written afterwards is still TLS, and
  // the peer reads it behind that part. ConcurrentUse if another greenlet writes.
  void write_all(std::string_view data, Wait wait = Wait::forever());
  void write_all(std::span<const std::byte> data, Wait wait = Wait::forever());

  // No write_all takes longer than this, whatever its wait.
  void set_write_limit(std::chrono::nanoseconds limit);

  // **Blocks.** until the kernel has taken the goodbye (close_notify): the peer reads an end of
  // stream, reading goes on. Throws IoError. Afterwards write_all throws broken_pipe.
  void shutdown_write(Wait wait = Wait::forever());

  // Says goodbye if that needs no waiting. Greenlets that read or write get IoError,
  // bad_file_descriptor. Closed twice is closed; the destructor does the same.
  void close() noexcept { session_.reset(); }
  bool is_open() const { return session_ != nullptr; }

  // Throw IoError if it is closed.
  tcp::Endpoint local() const;
  tcp::Endpoint peer() const;
  Version version() const;
  std::string cipher() const;                    // as OpenSSL calls it: "TLS_AES_256_GCM_SHA384"
  std::string alpn() const;                      // the protocol that both speak; empty: none
  std::string peer_certificate_subject() const;  // "CN=...,O=..."; empty: it has shown none

 private:
  friend struct detail::TlsStreamAccess;
  detail::TlsSession& open(const char* operation) const;

  std::unique_ptr<detail::TlsSession, detail::EndTlsSession> session_;
};

// **Blocks.** until there is a connection and the server is who it should be. The wait is for all
// of it. Throws IoError: tcp::connect's, timed_out, Failure::certificate, Failure::refused, ...;
// std::invalid_argument for a context's options. Killed while parked, it leaves nothing open.
Stream connect(tcp::Endpoint endpoint, const ClientContext& context, Wait wait = Wait::forever());
// The same with a context for this connection only, which is loaded on a thread of the pool: for
// the system's CAs that takes 20 ms, so who connects often makes a context once.
Stream connect(tcp::Endpoint endpoint, const ClientOptions& options = {},
               Wait wait = Wait::forever());

// **Blocks.** for the handshake: to be called by whom the connection is for, not by who accepts the
// next one, and with a wait, as the client may never speak. Throws IoError; the connection is
// closed then.
Stream accept(tcp::Stream stream, const ServerContext& context, Wait wait = Wait::forever());

}  // namespace tls
}  // namespace greenroom
