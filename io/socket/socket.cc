#include "greenroom/io/socket/socket.h"

#include <cerrno>

#include "greenroom/io/socket/socket_calls.h"

namespace greenroom::detail {

SocketFd::~SocketFd() {
  if (fd_ >= 0) sockets::close(fd_);
}

SocketFd SocketFd::open(const Address& address, const char* operation) {
  SocketFd socket(sockets::open(address.family()));
  if (socket.fd_ < 0) throw_io_error(errno, operation, address);
  return socket;
}

}  // namespace greenroom::detail
