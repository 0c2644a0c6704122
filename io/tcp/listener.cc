#include "greenroom/io/tcp/listener.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "greenroom/io/dns/resolve.h"
#include "greenroom/io/poll/attempt.h"
#include "greenroom/io/socket/socket.h"
#include "greenroom/io/socket/socket_calls.h"

namespace greenroom::tcp {

namespace {

constexpr const char* listen_operation = "tcp.listen";
constexpr const char* accept_operation = "tcp.accept";
constexpr const char* back_off_operation = "tcp.accept (out of descriptors)";
constexpr std::int64_t first_back_off = 5'000'000;
constexpr std::int64_t longest_back_off = 500'000'000;

using detail::Address;
namespace sockets = detail::sockets;

// The process or the system has no room for another connection; the one that came in is still
// there.
bool is_out_of_descriptors(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

// Says something of the connection that was to be accepted, not of the listener (man 2 accept).
bool is_connection_lost(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

class ListeningSocket final : public detail::Descriptor {
 public:
  using Descriptor::Descriptor;

 private:
  const char* verb_of(detail::Direction) const override { return "accepts"; }
};

// One attempt. Without descriptors the kernel does not say whether a connection is there. Throws
// what says something of the listener.
std::optional<Stream> try_accept(const detail::Descriptor& listener, bool& is_out_of_room) {
  is_out_of_room = false;
  for (;;) {
    Address peer;
    const int fd = sockets::accept(listener.fd(), peer);
    if (fd >= 0) {
      detail::SocketFd owned(fd);
      Stream accepted = detail::StreamAccess::make(owned.fd(), peer);
      owned.release();
      return accepted;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::nullopt;
    is_out_of_room = is_out_of_descriptors(errno);
    if (is_out_of_room) return std::nullopt;
    if (!is_connection_lost(errno))
      detail::throw_io_error(errno, accept_operation, listener.address());
  }
}

}  // namespace

Listener::Listener(Endpoint endpoint, ListenOptions options) {
  const Address wanted = detail::resolve_to_listen(endpoint);
  detail::SocketFd socket = detail::SocketFd::open(wanted, listen_operation);
  if (sockets::listen(socket.fd(), wanted, {options.backlog, options.reuse_port}) != 0)
    detail::throw_io_error(errno, listen_operation, wanted);
  const Address bound = sockets::local(socket.fd());
  socket_.reset(new ListeningSocket(socket.fd(), bound));
  socket.release();
}

Stream Listener::accept(Wait wait) {
  detail::Task& self = detail::enter_blocking_call();
  if (!socket_) detail::throw_io_error(EBADF, accept_operation, {});
  detail::Descriptor& listener = *socket_;
  bool is_out_of_room = false;
  std::int64_t back_off = first_back_off;
  std::optional<Stream> accepted = detail::attempt_until(
      {accept_operation, self, listener, detail::Direction::read}, wait,
      [&] { return try_accept(listener, is_out_of_room); },
      [&](detail::TaskWaiter& waiter) {
        if (!is_out_of_room) {
          back_off = first_back_off;
          return waiter.wait(accept_operation);
        }
        return waiter.pause(back_off_operation,
                            std::exchange(back_off, std::min(back_off * 2, longest_back_off)));
      });
  if (accepted) return *std::move(accepted);
  detail::throw_io_error(ETIMEDOUT, is_out_of_room ? back_off_operation : accept_operation,
                         listener.address());
}

Endpoint Listener::local() const {
  if (!socket_) detail::throw_io_error(EBADF, "tcp.local", {});
  return socket_->address().to_endpoint();
}

}  // namespace greenroom::tcp
