// tcp::Stream: one end of a TCP connection.
//
// Move-only; for one hub at a time, with at most one greenlet that reads and one that writes; it
// may be handed to a greenlet of another hub while nobody waits for it. SIGPIPE is never raised.
// Nagle's delay is off. The destructor closes it.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "greenroom/io/poll/descriptor.h"
#include "greenroom/io/socket/endpoint.h"
#include "greenroom/io/socket/io_error.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom {

namespace detail {

class StreamSocket;

// What the layers of a stream need beyond its face.
struct StreamAccess;

}  // namespace detail

namespace tcp {

class Stream {
 public:
  // A closed one.
  Stream() = default;

  // **Blocks.** until there are bytes: at least one, at most what fits, in the order they were
  // sent; 0 at the end of the stream. Throws IoError, timed_out if the wait was over first, and
  // std::invalid_argument for an empty buffer. Killed while parked, it has read nothing.
  // ConcurrentUse if another greenlet reads. As recv.
  std::size_t read_some(std::span<std::byte> buffer, Wait wait = Wait::forever());

  // **Blocks.** until the kernel has taken all of it. Throws IoError; the wait is for the whole,
  // not for each part. Killed or timed out, it may have written any part: such a stream is of use
  // only for reading. ConcurrentUse if another greenlet writes. As sendall.
  void write_all(std::string_view data, Wait wait = Wait::forever());
  void write_all(std::span<const std::byte> data, Wait wait = Wait::forever());

  // No write_all takes longer than this, whatever its wait: a peer that does not read cannot keep
  // the writer for ever.
  void set_write_limit(std::chrono::nanoseconds limit);

  // The peer reads an end of stream; reading goes on. Throws IoError.
  void shutdown_write();
  // Greenlets that read or write get IoError, bad_file_descriptor. Closed twice is closed.
  void close() noexcept { socket_.reset(); }
  bool is_open() const { return socket_ != nullptr; }

  // Throw IoError if it is closed.
  Endpoint local() const;
  Endpoint peer() const;

 private:
  friend struct detail::StreamAccess;
  explicit Stream(detail::OwnedDescriptor<detail::StreamSocket> socket);
  detail::StreamSocket& open(const char* operation) const;

  detail::OwnedDescriptor<detail::StreamSocket> socket_;
};

}  // namespace tcp

namespace detail {

class LineSource;

class StreamSocket final : public Descriptor {
 public:
  StreamSocket(int fd, const Address& peer);
  ~StreamSocket() override;

  // One attempt: the bytes read, 0 at the end; nothing if there is nothing yet. Makes no system
  // call if that is known. Throws IoError.
  std::optional<std::size_t> try_read(std::span<std::byte> buffer) {
    if (is_exhausted(Direction::read)) return std::nullopt;
    return read_now(buffer);
  }
  // One attempt: how much the kernel took. Throws IoError.
  std::size_t try_write(std::string_view data);

  // Read, but not used: the next reads have it first. None may be left from before.
  void put_back(std::string bytes);
  std::string take_put_back();

  std::chrono::nanoseconds write_limit = std::chrono::nanoseconds::max();
  std::unique_ptr<LineSource> line_source;  // in active mode

 private:
  std::optional<std::size_t> read_now(std::span<std::byte> buffer);

  std::string put_back_;
  std::size_t reread_ = 0;  // of that
};

struct StreamAccess {
  // Takes a connected, nonblocking socket over.
  static tcp::Stream make(int fd, const Address& peer);
  // Throws IoError if it is closed.
  static StreamSocket& socket(const tcp::Stream& stream, const char* operation) {
    return stream.open(operation);
  }
};

}  // namespace detail
}  // namespace greenroom
