#include "greenroom/io/socket.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace greenroom::detail {

SocketFd::~SocketFd() {
  if (fd_ >= 0) ::close(fd_);
}

SocketFd SocketFd::open(const Address& address, const char* operation) {
  SocketFd socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.fd_ < 0) throw_io_error(errno, operation, address);
  return socket;
}

}  // namespace greenroom::detail
