// The calls on sockets that io/ makes: the kernel's, or in a simulation its own.
//
// A simulated socket's descriptor is a number that the kernel never gives; so a call on a real one
// pays a comparison for it, and nothing else. All keep the kernel's convention, -1 and errno, and
// none waits.
// Rejected: an interface that every socket points to (a load and an indirect call for each call on
// a real one, and eight bytes for each connection).
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "greenroom/io/socket/address.h"
#include "greenroom/scheduler/hub/hub.h"

namespace greenroom::detail {

class FdPoller;

struct ListenSettings {
  int backlog = 0;
  bool shares_port = false;
};

// What a simulation answers in the kernel's place. For the simulation's thread.
class SimulatedSockets : public EnvironmentExtension {
 public:
  static constexpr int first_descriptor = 1 << 30;

  // As below.
  virtual int open(int family) = 0;
  virtual int listen(int fd, const Address& address, const ListenSettings& settings) = 0;
  virtual int accept(int fd, Address& peer) = 0;
  virtual int connect(int fd, const Address& peer) = 0;
  virtual bool is_connected(int fd) = 0;
  virtual int take_error(int fd) = 0;
  virtual ssize_t receive(int fd, std::span<std::byte> room) = 0;
  virtual ssize_t send(int fd, std::string_view data) = 0;
  virtual int shutdown_write(int fd) = 0;
  virtual Address local(int fd) = 0;
  virtual void close(int fd) noexcept = 0;
  // The poller of a hub of this simulation, which knows these descriptors.
  virtual std::unique_ptr<FdPoller> make_poller(Hub& hub) = 0;
};

inline bool is_simulated(int fd) { return fd >= SimulatedSockets::first_descriptor; }
// Null: the hub's sockets are the kernel's, or it has none.
SimulatedSockets* simulated_sockets_of(const Hub& hub) noexcept;
// Of the current hub. Throws std::logic_error if it has none.
SimulatedSockets& simulated_sockets();

namespace sockets {

// Nonblocking, for TCP.
int open(int family);
// Binds it and listens.
int listen(int fd, const Address& address, const ListenSettings& settings);
// The new descriptor.
int accept(int fd, Address& peer);
// Begins to connect; 0: it is connected already.
int connect(int fd, const Address& peer);
bool is_connected(int fd);
// What has gone wrong with the connection, or 0; once.
int take_error(int fd);
int shutdown_write(int fd);
// Of no family if that is not known.
Address local(int fd);
void close(int fd) noexcept;

inline ssize_t receive(int fd, std::span<std::byte> room) {
  if (is_simulated(fd)) [[unlikely]]
    return simulated_sockets().receive(fd, room);
  return ::recv(fd, room.data(), room.size(), MSG_DONTWAIT);
}

inline ssize_t send(int fd, std::string_view data) {
  if (is_simulated(fd)) [[unlikely]]
    return simulated_sockets().send(fd, data);
  return ::send(fd, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace sockets
}  // namespace greenroom::detail
