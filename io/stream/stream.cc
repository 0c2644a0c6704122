#include "greenroom/io/stream/stream.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "greenroom/io/poll/attempt.h"
#include "greenroom/io/socket/socket_calls.h"
#include "greenroom/io/stream/line_source.h"

namespace greenroom {

namespace detail {

namespace {

constexpr const char* read_operation = "tcp.read";
constexpr const char* write_operation = "tcp.write";

// A socket that is destroyed may say its last words on a thread without a hub.
void charge_system_call() noexcept {
  if (Hub* hub = Hub::current_if_any()) hub->charge_system_call();
}

bool is_would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

StreamSocket::StreamSocket(int fd, const Address& peer) : Descriptor(fd, peer) {}

StreamSocket::~StreamSocket() = default;

std::optional<std::size_t> StreamSocket::read_now(std::span<std::byte> buffer) {
  if (!put_back_.empty()) [[unlikely]] {
    const std::size_t count = std::min(buffer.size(), put_back_.size() - reread_);
    std::memcpy(buffer.data(), put_back_.data() + reread_, count);
    reread_ += count;
    if (reread_ == put_back_.size()) static_cast<void>(take_put_back());
    return count;
  }
  ssize_t size = 0;
  do {
    size = sockets::receive(fd(), buffer);
  } while (size < 0 && errno == EINTR);
  charge_system_call();
  if (size < 0 && !is_would_block(errno)) throw_io_error(errno, read_operation, address());
  // Less than asked for: nothing is left. The end of the stream stays readable.
  const auto read = static_cast<std::size_t>(size);
  set_exhausted(Direction::read, size < 0 || (size > 0 && read < buffer.size()));
  if (size < 0) return std::nullopt;
  return read;
}

std::size_t StreamSocket::try_write(std::string_view data) {
  ssize_t size = 0;
  do {
    size = sockets::send(fd(), data);
  } while (size < 0 && errno == EINTR);
  charge_system_call();
  if (size < 0 && !is_would_block(errno)) throw_io_error(errno, write_operation, address());
  return size < 0 ? 0 : static_cast<std::size_t>(size);
}

void StreamSocket::put_back(std::string bytes) {
  assert(put_back_.empty());
  if (bytes.empty()) return;
  put_back_ = std::move(bytes);
  look_again(Direction::read);
}

std::string StreamSocket::take_put_back() {
  std::string rest = std::exchange(put_back_, {});
  return rest.erase(0, std::exchange(reread_, 0));
}

tcp::Stream StreamAccess::make(int fd, const Address& peer) {
  return tcp::Stream(OwnedDescriptor<StreamSocket>(new StreamSocket(fd, peer)));
}

}  // namespace detail

namespace tcp {

using detail::Direction;

Stream::Stream(detail::OwnedDescriptor<detail::StreamSocket> socket) : socket_(std::move(socket)) {}

detail::StreamSocket& Stream::open(const char* operation) const {
  if (!socket_) detail::throw_io_error(EBADF, operation, {});
  return *socket_;
}

std::size_t Stream::read_some(std::span<std::byte> buffer, Wait wait) {
  detail::Task& self = detail::enter_blocking_call();
  detail::StreamSocket& socket = open(detail::read_operation);
  if (buffer.empty()) {
    throw std::invalid_argument(
        "greenroom: read_some with room for nothing could not tell the end of the stream");
  }
  const auto size = detail::attempt_until({detail::read_operation, self, socket, Direction::read},
                                          wait, [&] { return socket.try_read(buffer); });
  if (!size) detail::throw_io_error(ETIMEDOUT, detail::read_operation, socket.address());
  return *size;
}

void Stream::write_all(std::string_view data, Wait wait) {
  detail::Task& self = detail::enter_blocking_call();
  detail::StreamSocket& socket = open(detail::write_operation);
  if (data.empty()) return;
  const bool is_written = detail::attempt_until(
      {detail::write_operation, self, socket, Direction::write, socket.write_limit}, wait, [&] {
        data.remove_prefix(socket.try_write(data));
        return data.empty();
      });
  if (!is_written) detail::throw_io_error(ETIMEDOUT, detail::write_operation, socket.address());
}

void Stream::write_all(std::span<const std::byte> data, Wait wait) {
  write_all(std::string_view(reinterpret_cast<const char*>(data.data()), data.size()), wait);
}

void Stream::set_write_limit(std::chrono::nanoseconds limit) {
  open(detail::write_operation).write_limit = limit;
}

void Stream::shutdown_write() {
  const detail::StreamSocket& socket = open("tcp.shutdown");
  if (detail::sockets::shutdown_write(socket.fd()) != 0)
    detail::throw_io_error(errno, "tcp.shutdown", socket.address());
}

Endpoint Stream::local() const {
  return detail::sockets::local(open("tcp.local").fd()).to_endpoint();
}

Endpoint Stream::peer() const { return open("tcp.peer").address().to_endpoint(); }

}  // namespace tcp
}  // namespace greenroom
