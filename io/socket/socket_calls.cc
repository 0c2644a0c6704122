#include "greenroom/io/socket/socket_calls.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

namespace greenroom::detail {

SimulatedSockets* simulated_sockets_of(const Hub& hub) noexcept {
  if (!hub.environment()) return nullptr;
  return static_cast<SimulatedSockets*>(hub.environment()->extension(Layer::io));
}

namespace {

SimulatedSockets* simulated_sockets_if_any() noexcept {
  const Hub* hub = Hub::current_if_any();
  return hub ? simulated_sockets_of(*hub) : nullptr;
}

int set_option(int fd, int level, int option) {
  const int on = 1;
  return ::setsockopt(fd, level, option, &on, sizeof on);
}

}  // namespace

SimulatedSockets& simulated_sockets() {
  if (SimulatedSockets* sockets = simulated_sockets_if_any()) return *sockets;
  throw std::logic_error(
      "greenroom: a simulated socket is used outside its simulation; make it where it is used");
}

int sockets::open(int family) {
  if (SimulatedSockets* simulated = simulated_sockets_if_any()) return simulated->open(family);
  return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int sockets::listen(int fd, const Address& address, const ListenSettings& settings) {
  if (is_simulated(fd)) return simulated_sockets().listen(fd, address, settings);
  if (set_option(fd, SOL_SOCKET, SO_REUSEADDR) != 0) return -1;
  if (settings.shares_port && set_option(fd, SOL_SOCKET, SO_REUSEPORT) != 0) return -1;
  // Inherited by what is accepted: a system call less per connection.
  if (set_option(fd, IPPROTO_TCP, TCP_NODELAY) != 0) return -1;
  if (::bind(fd, address.data(), address.size()) != 0) return -1;
  return ::listen(fd, settings.backlog);
}

int sockets::accept(int fd, Address& peer) {
  if (is_simulated(fd)) return simulated_sockets().accept(fd, peer);
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* any = reinterpret_cast<sockaddr*>(&storage);
  const int accepted = ::accept4(fd, any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (accepted >= 0) peer = Address::copy(any, size);
  return accepted;
}

int sockets::connect(int fd, const Address& peer) {
  if (is_simulated(fd)) return simulated_sockets().connect(fd, peer);
  if (set_option(fd, IPPROTO_TCP, TCP_NODELAY) != 0) return -1;
  return ::connect(fd, peer.data(), peer.size());
}

bool sockets::is_connected(int fd) {
  if (is_simulated(fd)) return simulated_sockets().is_connected(fd);
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  return ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

int sockets::take_error(int fd) {
  if (is_simulated(fd)) return simulated_sockets().take_error(fd);
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

int sockets::shutdown_write(int fd) {
  if (is_simulated(fd)) return simulated_sockets().shutdown_write(fd);
  return ::shutdown(fd, SHUT_WR);
}

Address sockets::local(int fd) {
  if (is_simulated(fd)) return simulated_sockets().local(fd);
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* any = reinterpret_cast<sockaddr*>(&storage);
  if (::getsockname(fd, any, &size) != 0) return {};
  return Address::copy(any, size);
}

void sockets::close(int fd) noexcept {
  if (!is_simulated(fd)) {
    ::close(fd);
  } else if (SimulatedSockets* simulated = simulated_sockets_if_any()) {
    simulated->close(fd);  // else its simulation is over, and has found it open
  }
}

}  // namespace greenroom::detail
