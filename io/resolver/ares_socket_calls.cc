#include "greenroom/io/resolver/ares_socket_calls.h"

#include <ares.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace greenroom::detail {

namespace {

int open(int family, int type, int protocol, void* open_error) {
  const int fd = ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  *static_cast<int*>(open_error) = fd < 0 ? errno : 0;
  const int on = 1;
  if (fd >= 0 && type == SOCK_STREAM) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

int close(int fd, void*) { return ::close(fd); }

int connect(int fd, const sockaddr* address, socklen_t size, void*) {
  return ::connect(fd, address, size);
}

ssize_t receive(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* from_size,
                void*) {
  return ::recvfrom(fd, data, size, flags, from, from_size);
}

ssize_t send(int fd, const iovec* parts, int count, void*) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<std::size_t>(count);
  const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
  if (sent >= 0 || errno != ECONNREFUSED) return sent;
  // So the datagram before this one was refused. c-ares takes it for an error of this one, and has
  // the other query wait for its timeout. Sent again, this one is refused as well, and reading
  // tells it of the server, for both.
  return ::sendmsg(fd, &message, MSG_NOSIGNAL);
}

constexpr ares_socket_functions calls{&open, &close, &connect, &receive, &send};

}  // namespace

void set_socket_calls(ares_channeldata* channel, int& open_error) {
  ::ares_set_socket_functions(channel, &calls, &open_error);
}

}  // namespace greenroom::detail
