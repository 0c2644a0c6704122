// A TLS connection behind tls::Stream: OpenSSL's object, its transport, and who waits for them.
//
// As tcp::Stream: for one hub at a time, one greenlet that reads and one that writes. OpenSSL's
// object is only touched between two parks, so that neither sees the other inside it; a greenlet
// that has parked and finds the connection closed leaves without touching it. OpenSSL's queue of
// errors belongs to the thread: it is cleared before a call and read right after it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "greenroom/io/stream/stream.h"
#include "greenroom/io/tls/openssl.h"
#include "greenroom/io/tls/transport.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::detail {

class TlsSession {
 public:
  enum class Role : std::uint8_t { client, server };

  // Takes the connection over; `server_name` is for clients. Throws IoError.
  TlsSession(tcp::Stream stream, std::shared_ptr<const TlsContext> context, Role role,
             const std::string& server_name);
  // Says goodbye if that needs no waiting.
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // **Blocks.** until both sides know each other. Throws IoError.
  void handshake(Task& self, std::int64_t deadline);

  // tls::Stream's.
  std::size_t read_some(Task& self, std::span<std::byte> buffer, Wait wait);
  void write_all(Task& self, std::string_view data, Wait wait);
  void shutdown_write(Task& self, Wait wait);

  tcp::Stream& stream() { return stream_; }
  const SSL* openssl() const { return ssl_.get(); }

 private:
  enum class State : std::uint8_t {
    handshaking,
    open,
    failed,  // for the reason in failure_, for good
  };
  enum class Step : std::uint8_t {
    done,
    needs_input,  // nothing more has arrived
    again,        // a record was taken that was none of the caller's
    closed,       // the peer has said goodbye
    cut,          // the connection has ended, and the peer has not
  };

  void identify(const std::string& server_name);
  template <class Call>
  Step attempt(const char* operation, Call call);
  [[noreturn]] void fail(const char* operation, std::error_code error);
  [[noreturn]] void throw_error(const char* operation, std::error_code error) const;
  [[noreturn]] void throw_error(const char* operation, std::errc error) const;

  std::optional<std::size_t> try_read(std::span<std::byte> buffer);
  Wait begin_write(const char* operation, Wait wait);
  void wait_until_flushed(Task& self, const char* operation, Wait wait);
  void check_write_error(const char* operation) const;

  tcp::Stream stream_;
  StreamSocket& socket_;
  TlsTransport transport_;
  std::shared_ptr<const TlsContext> context_;
  OwnedOpenssl<SSL> ssl_;
  std::string name_;  // for messages: the address, and whom it should belong to
  std::error_code failure_;
  State state_ = State::handshaking;
  bool has_said_goodbye_ = false;
};

}  // namespace greenroom::detail
