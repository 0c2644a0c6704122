#include "greenroom/io/tcp/connect.h"

#include <cerrno>

#include "greenroom/io/dns/resolve.h"
#include "greenroom/io/poll/attempt.h"
#include "greenroom/io/socket/socket.h"
#include "greenroom/io/socket/socket_calls.h"

namespace greenroom::tcp {

namespace {

using detail::Address;
namespace sockets = detail::sockets;

constexpr const char* connect_operation = "tcp.connect";

Stream connect_to(const Address& address, std::int64_t deadline, detail::Task& self) {
  detail::SocketFd made = detail::SocketFd::open(address, connect_operation);
  const int fd = made.fd();
  Stream stream = detail::StreamAccess::make(fd, address);
  made.release();
  if (sockets::connect(fd, address) != 0) {
    if (errno != EINPROGRESS) detail::throw_io_error(errno, connect_operation, address);
    const bool is_connected = detail::attempt_until(
        {connect_operation, self, detail::StreamAccess::socket(stream, connect_operation),
         detail::Direction::write},
        detail::to_wait(deadline), [&] {
          if (sockets::is_connected(fd)) return true;
          if (const int error = sockets::take_error(fd))
            detail::throw_io_error(error, connect_operation, address);
          return false;
        });
    if (!is_connected) detail::throw_io_error(ETIMEDOUT, connect_operation, address);
  }
  // To a port nobody listens on, on this machine, the kernel may have connected it with itself.
  if (sockets::local(fd) == address)
    detail::throw_io_error(ECONNREFUSED, connect_operation, address);
  return stream;
}

}  // namespace

Stream connect(Endpoint endpoint, Wait wait) {
  detail::Task& self = detail::enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  const std::vector<Address> addresses = detail::resolve(endpoint, deadline);
  for (std::size_t i = 0;; ++i) {
    try {
      return connect_to(addresses[i], deadline, self);
    } catch (const IoError&) {
      if (i + 1 == addresses.size() || detail::now_nanoseconds() >= deadline) throw;
    }
  }
}

}  // namespace greenroom::tcp
