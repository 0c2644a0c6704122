// A socket as OpenSSL sees it: a BIO that never waits, never parks, and never throws.
//
// Reading is one attempt on the socket. Writing always succeeds: what the kernel does not take is
// kept here, in order, until somebody flushes it. So OpenSSL never waits for writing, no call of it
// has to be repeated, and between two calls its object is free for the other direction.
//
// Rejected: memory BIOs (each byte is copied once more each way); a BIO that may refuse to write
// (then a reader that has to answer depends on the writer, whose call must first be repeated).
#pragma once

#include <openssl/bio.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>

#include "greenroom/io/stream/stream.h"

namespace greenroom::detail {

// What an attempt to read has found.
enum class Arrival : std::uint8_t { bytes, nothing_yet, end, error };

class TlsTransport {
 public:
  explicit TlsTransport(StreamSocket& socket) : socket_(socket) {}
  TlsTransport(const TlsTransport&) = delete;
  TlsTransport& operator=(const TlsTransport&) = delete;

  // A BIO over it, for the caller to own; this must outlive it. Throws std::bad_alloc.
  BIO* make_bio();

  // Of the last attempt since this was called: `bytes` if there was none.
  void begin() noexcept { arrival_ = Arrival::bytes; }
  Arrival arrival() const { return arrival_; }
  std::error_code read_error() const { return read_error_; }

  // One attempt to send what is kept. True: nothing is left, or nothing can be sent any more, and
  // then there is an error, for good.
  bool flush() noexcept;
  std::size_t unsent() const { return unsent_.size(); }
  std::error_code write_error() const { return write_error_; }

 private:
  static int on_read(BIO* bio, char* room, int size) noexcept;
  static int on_write(BIO* bio, const char* data, int size) noexcept;
  static long on_control(BIO* bio, int command, long number, void* pointer) noexcept;
  static const BIO_METHOD* method();

  void write(std::string_view data) noexcept;

  StreamSocket& socket_;
  std::string unsent_;
  std::error_code read_error_;
  std::error_code write_error_;
  Arrival arrival_ = Arrival::bytes;
};

}  // namespace greenroom::detail
