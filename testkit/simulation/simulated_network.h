// The network of a simulation: what a program's sockets are over there.
//
// One thread's, and one simulation's. Its descriptors are numbered as the kernel's, the lowest free
// one first, so that a number is soon used again. It changes nothing by itself: the driver has one
// segment arrive at a time, chosen by the seed among those whose time has come, and hubs hear of it
// when they poll.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "greenroom/io/poll/fd_poller.h"
#include "greenroom/io/socket/endpoint.h"
#include "greenroom/io/socket/socket_calls.h"
#include "greenroom/testkit/simulation/simulated_connection.h"

namespace greenroom::testkit::detail {

class SeededEnvironment;
class SimulatedPoller;
using greenroom::detail::FdPoller;
using greenroom::detail::ListenSettings;
using greenroom::detail::PolledFd;

class SimulatedNetwork final : public greenroom::detail::SimulatedSockets, private Wire {
 public:
  explicit SimulatedNetwork(SeededEnvironment& environment);
  ~SimulatedNetwork() override;
  SimulatedNetwork(const SimulatedNetwork&) = delete;
  SimulatedNetwork& operator=(const SimulatedNetwork&) = delete;

  // The calls of io/.
  int open(int family) override;
  int listen(int fd, const Address& address, const ListenSettings& settings) override;
  int accept(int fd, Address& peer) override;
  int connect(int fd, const Address& peer) override;
  bool is_connected(int fd) override;
  int take_error(int fd) override;
  ssize_t receive(int fd, std::span<std::byte> room) override;
  ssize_t send(int fd, std::string_view data) override;
  int shutdown_write(int fd) override;
  Address local(int fd) override;
  void close(int fd) noexcept override;
  std::unique_ptr<FdPoller> make_poller(Hub& hub) override;

  // For the driver.
  std::int64_t next_event() const;
  // One of the segments that are due arrives, or one end loses its patience. Something is due.
  void step();
  // A line for each socket that is open.
  std::vector<std::string> open_sockets() const;

  // For tests, as testkit::Network.
  void set_latency(std::int64_t least, std::int64_t most);
  void set_buffers(const BufferSizes& buffers) { buffers_ = buffers; }
  void set_descriptor_limit(std::size_t limit) { descriptor_limit_ = limit; }
  void partition(const tcp::Endpoint& endpoint);
  void heal();
  int reset(const tcp::Endpoint& endpoint);

  // For its pollers.
  void watch(PolledFd& polled, SimulatedPoller& poller, std::uint8_t interest);
  void forget(const SimulatedPoller& poller);
  // What an armed descriptor of that poller is ready for.
  std::uint8_t news(int fd, const SimulatedPoller& poller) const;
  // The poller has taken the descriptor off its list: whom to tell; null if that is nobody there.
  PolledFd* take_listed(int fd, const SimulatedPoller& poller);
  void list_again(int fd);

 private:
  struct Link;
  struct Listener {
    Address address;
    ListenSettings settings;
    std::vector<Link*> half_open;
    std::deque<Link*> queue;  // to be accepted
  };
  struct Socket {
    int fd = -1;
    int family = 0;
    std::unique_ptr<Listener> listener;  // or
    Link* link = nullptr;                // or neither: it was only just opened
    Side side = Side::client;
    PolledFd* polled = nullptr;
    SimulatedPoller* poller = nullptr;
    SimulatedPoller* listed_in = nullptr;  // which will look at it at its next poll
    std::uint8_t interest = 0;
  };
  // A connection, and where it is known.
  struct Link {
    Link(std::uint64_t number, const Address& client, const Address& server,
         const BufferSizes& buffers, Wire& wire)
        : id(number), connection(client, server, buffers, wire) {}
    std::uint64_t id;
    Connection connection;
    Socket* sockets[2] = {};
    Socket* listener = nullptr;  // as long as it is not accepted
    // When what is due: each side's next segment, and the end of the patience.
    std::int64_t agenda[3] = {no_deadline, no_deadline, no_deadline};
  };

  // As a wire.
  std::int64_t now() override;
  std::int64_t delay() override;
  std::size_t choose(std::size_t count) override;

  Socket* find(int fd) const;
  Socket* make_socket(int family);
  Socket* find_end(int fd) const;
  static std::uint8_t readiness(const Socket& socket);
  void touch(Socket* socket);
  // After anything that was done to a connection: who has news, what comes next, is it gone.
  void refresh(Link& link);
  void schedule(Link& link, int entry, std::int64_t time);
  void leave_listener(Link& link);
  void deliver(Link& link, Side from);
  void deliver_syn(Link& link);
  void close_listener(Socket& socket);
  Socket* listener_at(const Address& address);
  bool is_taken(const Address& address, bool shares_port) const;
  Address with_free_port(const Address& address);
  bool is_partitioned(const Connection& connection) const;
  void update_partition(Link& link);

  SeededEnvironment& environment_;
  const int first_;  // descriptor
  std::vector<std::unique_ptr<Socket>> sockets_;
  std::vector<Socket*> listeners_;
  std::map<std::uint64_t, std::unique_ptr<Link>> links_;
  std::uint64_t next_link_ = 0;
  // When what is due: a link's number times four, plus the entry of its agenda.
  std::set<std::pair<std::int64_t, std::uint64_t>> agenda_;
  std::size_t open_count_ = 0;
  std::size_t descriptor_limit_;
  std::uint16_t next_port_;
  BufferSizes buffers_;
  std::int64_t least_latency_ = 0;
  std::int64_t most_latency_ = 0;
  std::vector<tcp::Endpoint> partitioned_;
};

}  // namespace greenroom::testkit::detail
