// The calls that a program's sockets make, and their descriptors. How things arrive is in
// simulated_delivery.cc.
#include "greenroom/testkit/simulation/simulated_network.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cerrno>

#include "greenroom/testkit/simulation/environment.h"
#include "greenroom/testkit/simulation/simulated_poller.h"

namespace greenroom::testkit::detail {

namespace {

constexpr std::size_t most_descriptors = 1 << 16;
constexpr int networks = 1 << 13;
// Linux' net.ipv4.ip_local_port_range.
constexpr std::uint16_t first_free_port = 32768;
constexpr std::uint16_t last_free_port = 60999;

int fail(int error) {
  errno = error;
  return -1;
}

// Each simulation has numbers of its own, so that a socket that outlives one is none in the next.
int first_descriptor() {
  static std::atomic<int> count{0};
  const int number = count.fetch_add(1, std::memory_order_relaxed) & (networks - 1);
  return SimulatedNetwork::first_descriptor + number * static_cast<int>(most_descriptors);
}

bool is_wildcard(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

bool is_of_loopback(const std::string& host) { return host.rfind("127.", 0) == 0; }

Address with_port(const Address& address, std::uint16_t port) {
  return *Address::parse(address.to_endpoint().host, port);
}

// All addresses are this machine's. From where a connection comes that goes there, as on Linux.
std::string source_for(const std::string& host) {
  return is_of_loopback(host) ? "127.0.0.1" : host;
}

}  // namespace

SimulatedNetwork::SimulatedNetwork(SeededEnvironment& environment)
    : environment_(environment),
      first_(detail::first_descriptor()),
      descriptor_limit_(most_descriptors),
      next_port_(first_free_port) {}

SimulatedNetwork::~SimulatedNetwork() = default;

// Descriptors.

SimulatedNetwork::Socket* SimulatedNetwork::find(int fd) const {
  const auto index = static_cast<std::size_t>(fd - first_);
  return fd >= first_ && index < sockets_.size() ? sockets_[index].get() : nullptr;
}

SimulatedNetwork::Socket* SimulatedNetwork::find_end(int fd) const {
  Socket* socket = find(fd);
  return socket && socket->link ? socket : nullptr;
}

// Null: there are too many.
SimulatedNetwork::Socket* SimulatedNetwork::make_socket(int family) {
  if (open_count_ >= descriptor_limit_) return nullptr;
  auto free = std::find(sockets_.begin(), sockets_.end(), nullptr);
  if (free == sockets_.end()) {
    if (sockets_.size() == most_descriptors) return nullptr;
    free = sockets_.insert(sockets_.end(), nullptr);
  }
  *free = std::make_unique<Socket>();
  (*free)->fd = first_ + static_cast<int>(free - sockets_.begin());
  (*free)->family = family;
  ++open_count_;
  return free->get();
}

int SimulatedNetwork::open(int family) {
  const Socket* socket = make_socket(family);
  return socket ? socket->fd : fail(EMFILE);
}

void SimulatedNetwork::close(int fd) noexcept {
  Socket* socket = find(fd);
  if (!socket) return;  // another simulation's, which has ended
  if (socket->listener) close_listener(*socket);
  Link* link = socket->link;
  if (link) {
    link->connection.close(socket->side);
    link->sockets[static_cast<int>(socket->side)] = nullptr;
  }
  sockets_[static_cast<std::size_t>(fd - first_)].reset();
  --open_count_;
  if (link) refresh(*link);
}

std::vector<std::string> SimulatedNetwork::open_sockets() const {
  std::vector<std::string> lines;
  for (const auto& socket : sockets_) {
    if (!socket) continue;
    std::string line = "simulated socket " + std::to_string(socket->fd - first_) + " is open";
    if (socket->listener) {
      line += ": a listener on " + to_string(socket->listener->address);
    } else if (socket->link) {
      const Connection& connection = socket->link->connection;
      line += ": " + to_string(connection.local(socket->side)) + ", connected with " +
              to_string(connection.local(other(socket->side)));
    }
    lines.push_back(line);
  }
  return lines;
}

// Listeners.

bool SimulatedNetwork::is_taken(const Address& address, bool shares_port) const {
  const tcp::Endpoint wanted = address.to_endpoint();
  return std::any_of(listeners_.begin(), listeners_.end(), [&](const Socket* socket) {
    const tcp::Endpoint taken = socket->listener->address.to_endpoint();
    if (taken.port != wanted.port || socket->family != address.family()) return false;
    if (shares_port && socket->listener->settings.shares_port) return false;
    return taken.host == wanted.host || is_wildcard(taken.host) || is_wildcard(wanted.host);
  });
}

Address SimulatedNetwork::with_free_port(const Address& address) {
  for (;;) {
    const Address candidate = with_port(address, next_port_);
    next_port_ = next_port_ == last_free_port ? first_free_port : next_port_ + 1;
    const bool is_used = is_taken(candidate, false) ||
                         std::any_of(links_.begin(), links_.end(), [&](const auto& entry) {
                           return entry.second->connection.local(Side::client) == candidate;
                         });
    if (!is_used) return candidate;
  }
}

int SimulatedNetwork::listen(int fd, const Address& address, const ListenSettings& settings) {
  Socket* socket = find(fd);
  if (!socket) return fail(EBADF);
  const bool takes_any = address.to_endpoint().port == 0;
  const Address bound = takes_any ? with_free_port(address) : address;
  if (is_taken(bound, settings.shares_port)) return fail(EADDRINUSE);
  socket->listener = std::make_unique<Listener>(Listener{bound, settings, {}, {}});
  listeners_.push_back(socket);
  return 0;
}

int SimulatedNetwork::accept(int fd, Address& peer) {
  Socket* socket = find(fd);
  if (!socket) return fail(EBADF);
  if (!socket->listener) return fail(EINVAL);
  // As Linux, which looks for a descriptor first.
  if (open_count_ >= descriptor_limit_) return fail(EMFILE);
  std::deque<Link*>& queue = socket->listener->queue;
  if (queue.empty()) return fail(EAGAIN);
  Link& link = *queue.front();
  Socket* accepted = make_socket(socket->family);
  if (!accepted) return fail(EMFILE);
  leave_listener(link);
  accepted->link = &link;
  accepted->side = Side::server;
  link.sockets[static_cast<int>(Side::server)] = accepted;
  peer = link.connection.local(Side::client);
  return accepted->fd;
}

// Connections.

int SimulatedNetwork::connect(int fd, const Address& peer) {
  Socket* socket = find(fd);
  if (!socket) return fail(EBADF);
  if (socket->link || socket->listener) return fail(EISCONN);
  tcp::Endpoint to = peer.to_endpoint();
  if (is_wildcard(to.host)) to.host = peer.family() == AF_INET ? "127.0.0.1" : "::1";
  const Address server = *Address::parse(to.host, to.port);
  const Address client = with_free_port(*Address::parse(source_for(to.host), 0));
  const std::uint64_t id = next_link_++;
  Wire& wire = *this;
  auto link = std::make_unique<Link>(id, client, server, buffers_, wire);
  socket->link = link.get();
  link->sockets[static_cast<int>(Side::client)] = socket;
  Link& made = *links_.emplace(id, std::move(link)).first->second;
  update_partition(made);
  refresh(made);
  return fail(EINPROGRESS);
}

bool SimulatedNetwork::is_connected(int fd) {
  const Socket* socket = find_end(fd);
  return socket && socket->link->connection.state(socket->side) == Connection::State::established;
}

int SimulatedNetwork::take_error(int fd) {
  const Socket* socket = find_end(fd);
  return socket ? socket->link->connection.take_error(socket->side) : 0;
}

ssize_t SimulatedNetwork::receive(int fd, std::span<std::byte> room) {
  const Socket* socket = find_end(fd);
  if (!socket) return fail(find(fd) ? ENOTCONN : EBADF);
  const ssize_t size = socket->link->connection.read(socket->side, room);
  const int error = errno;
  refresh(*socket->link);
  errno = error;
  return size;
}

ssize_t SimulatedNetwork::send(int fd, std::string_view data) {
  const Socket* socket = find_end(fd);
  if (!socket) return fail(find(fd) ? EPIPE : EBADF);
  const ssize_t size = socket->link->connection.write(socket->side, data);
  const int error = errno;
  refresh(*socket->link);
  errno = error;
  return size;
}

int SimulatedNetwork::shutdown_write(int fd) {
  const Socket* socket = find_end(fd);
  if (!socket) return fail(find(fd) ? ENOTCONN : EBADF);
  const int result = socket->link->connection.shut_down(socket->side);
  const int error = errno;
  refresh(*socket->link);
  errno = error;
  return result;
}

Address SimulatedNetwork::local(int fd) {
  const Socket* socket = find(fd);
  if (!socket) return {};
  if (socket->listener) return socket->listener->address;
  return socket->link ? socket->link->connection.local(socket->side) : Address();
}

// Pollers.

std::unique_ptr<FdPoller> SimulatedNetwork::make_poller(Hub& hub) {
  return std::make_unique<SimulatedPoller>(hub, *this);
}

std::uint8_t SimulatedNetwork::readiness(const Socket& socket) {
  if (socket.link) return socket.link->connection.readiness(socket.side);
  const bool has_some = socket.listener && !socket.listener->queue.empty();
  return has_some ? greenroom::detail::interest::read : greenroom::detail::interest::none;
}

void SimulatedNetwork::touch(Socket* socket) {
  if (!socket || !socket->polled || socket->listed_in == socket->poller) return;
  if ((readiness(*socket) & socket->interest) == 0) return;
  socket->listed_in = socket->poller;
  socket->poller->list(socket->fd);
}

void SimulatedNetwork::watch(PolledFd& polled, SimulatedPoller& poller, std::uint8_t interest) {
  Socket* socket = find(polled.fd());
  if (!socket) return;
  socket->polled = interest == 0 ? nullptr : &polled;
  socket->poller = interest == 0 ? nullptr : &poller;
  socket->interest = interest;
  touch(socket);
}

void SimulatedNetwork::forget(const SimulatedPoller& poller) {
  for (const auto& socket : sockets_) {
    if (!socket || socket->poller != &poller) continue;
    socket->polled = nullptr;
    socket->poller = nullptr;
    socket->interest = 0;
  }
}

std::uint8_t SimulatedNetwork::news(int fd, const SimulatedPoller& poller) const {
  const Socket* socket = find(fd);
  if (!socket || socket->poller != &poller) return 0;
  return readiness(*socket) & socket->interest;
}

PolledFd* SimulatedNetwork::take_listed(int fd, const SimulatedPoller& poller) {
  Socket* socket = find(fd);
  if (!socket) return nullptr;
  if (socket->listed_in == &poller) socket->listed_in = nullptr;
  return socket->poller == &poller ? socket->polled : nullptr;
}

void SimulatedNetwork::list_again(int fd) { touch(find(fd)); }

}  // namespace greenroom::testkit::detail
