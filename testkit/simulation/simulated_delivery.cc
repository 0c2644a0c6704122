// How what is on its way arrives, and what holds it up.
#include <algorithm>
#include <cassert>

#include "greenroom/testkit/simulation/environment.h"
#include "greenroom/testkit/simulation/simulated_network.h"

namespace greenroom::testkit::detail {

namespace {

constexpr int patience = 2;  // after the two sides, in a link's agenda

Side side_of(int entry) { return entry == 0 ? Side::client : Side::server; }

bool is_meant(const tcp::Endpoint& meant, const tcp::Endpoint& endpoint) {
  return meant.host == endpoint.host && (meant.port == 0 || meant.port == endpoint.port);
}

bool has_end(const Connection& connection, const tcp::Endpoint& endpoint) {
  return is_meant(endpoint, connection.local(Side::client).to_endpoint()) ||
         is_meant(endpoint, connection.local(Side::server).to_endpoint());
}

}  // namespace

// As a wire.

std::int64_t SimulatedNetwork::now() { return environment_.now(); }

std::int64_t SimulatedNetwork::delay() {
  const auto spread = static_cast<std::size_t>(most_latency_ - least_latency_);
  return least_latency_ + static_cast<std::int64_t>(environment_.pick(spread + 1));
}

std::size_t SimulatedNetwork::choose(std::size_t count) { return environment_.pick(count); }

// The agenda.

void SimulatedNetwork::schedule(Link& link, int entry, std::int64_t time) {
  std::int64_t& noted = link.agenda[entry];
  if (noted == time) return;
  const std::uint64_t key = link.id * 4 + static_cast<std::uint64_t>(entry);
  if (noted != greenroom::detail::no_deadline) agenda_.erase({noted, key});
  noted = time;
  if (noted != greenroom::detail::no_deadline) agenda_.insert({noted, key});
}

void SimulatedNetwork::refresh(Link& link) {
  for (Socket* socket : link.sockets) touch(socket);
  if (link.connection.is_gone(Side::server)) leave_listener(link);  // it was half open
  const bool is_gone = link.connection.is_gone();
  for (int entry = 0; entry < 3; ++entry) {
    std::int64_t time = entry == patience ? link.connection.gives_up_at()
                                          : link.connection.next_arrival(side_of(entry));
    if (is_gone) time = greenroom::detail::no_deadline;
    schedule(link, entry, time);
  }
  if (!is_gone) return;
  for (Socket* socket : link.sockets) assert(!socket);
  links_.erase(link.id);
}

std::int64_t SimulatedNetwork::next_event() const {
  return agenda_.empty() ? greenroom::detail::no_deadline : agenda_.begin()->first;
}

void SimulatedNetwork::step() {
  const auto end = agenda_.upper_bound({now(), UINT64_MAX});
  auto chosen = agenda_.begin();
  std::advance(chosen, environment_.pick(static_cast<std::size_t>(std::distance(chosen, end))));
  Link& link = *links_.at(chosen->second / 4);
  const auto entry = static_cast<int>(chosen->second % 4);
  if (entry != patience) return deliver(link, side_of(entry));
  link.connection.give_up();
  refresh(link);
}

void SimulatedNetwork::deliver(Link& link, Side from) {
  const Connection::Kind kind = link.connection.next_kind(from);
  if (kind == Connection::Kind::syn) {
    deliver_syn(link);
  } else {
    link.connection.arrive(from);
  }
  Socket* listener = link.listener;
  const Connection::State state = link.connection.state(Side::server);
  if (listener && kind == Connection::Kind::syn_ack && state == Connection::State::established) {
    std::erase(listener->listener->half_open, &link);
    listener->listener->queue.push_back(&link);
    touch(listener);
  }
  refresh(link);
}

// Listeners.

SimulatedNetwork::Socket* SimulatedNetwork::listener_at(const Address& address) {
  const tcp::Endpoint wanted = address.to_endpoint();
  std::vector<Socket*> found;
  const auto look_for = [&](const std::string& host) {
    for (Socket* socket : listeners_) {
      const tcp::Endpoint endpoint = socket->listener->address.to_endpoint();
      if (endpoint.port == wanted.port && endpoint.host == host) found.push_back(socket);
    }
  };
  look_for(wanted.host);
  if (found.empty()) look_for(address.family() == AF_INET ? "0.0.0.0" : "::");
  return found.empty() ? nullptr : found[choose(found.size())];
}

void SimulatedNetwork::deliver_syn(Link& link) {
  Socket* found = listener_at(link.connection.local(Side::server));
  if (!found) return link.connection.refuse_syn();
  Listener& listener = *found->listener;
  const std::size_t waiting = listener.half_open.size() + listener.queue.size();
  // As Linux, which has room for one more than the backlog, and says nothing if there is none.
  if (waiting > static_cast<std::size_t>(std::max(listener.settings.backlog, 0)))
    return link.connection.repeat_syn();
  link.listener = found;
  listener.half_open.push_back(&link);
  link.connection.answer_syn();
}

void SimulatedNetwork::leave_listener(Link& link) {
  if (!link.listener) return;
  Listener& listener = *link.listener->listener;
  std::erase(listener.half_open, &link);
  std::erase(listener.queue, &link);
  link.listener = nullptr;
}

// Connections that nobody has accepted are reset.
void SimulatedNetwork::close_listener(Socket& socket) {
  std::erase(listeners_, &socket);
  std::vector<Link*> waiting = socket.listener->half_open;
  waiting.insert(waiting.end(), socket.listener->queue.begin(), socket.listener->queue.end());
  for (Link* link : waiting) {
    leave_listener(*link);
    link->connection.abort(Side::server);
    refresh(*link);
  }
}

// Weather.

void SimulatedNetwork::set_latency(std::int64_t least, std::int64_t most) {
  least_latency_ = least;
  most_latency_ = most;
}

bool SimulatedNetwork::is_partitioned(const Connection& connection) const {
  return std::any_of(partitioned_.begin(), partitioned_.end(),
                     [&](const tcp::Endpoint& endpoint) { return has_end(connection, endpoint); });
}

void SimulatedNetwork::update_partition(Link& link) {
  const bool is_cut = is_partitioned(link.connection);
  if (is_cut == link.connection.is_cut()) return;
  is_cut ? link.connection.cut() : link.connection.join();
}

void SimulatedNetwork::partition(const tcp::Endpoint& endpoint) {
  partitioned_.push_back(endpoint);
  for (auto& [id, link] : links_) {
    update_partition(*link);
    refresh(*link);
  }
}

void SimulatedNetwork::heal() {
  partitioned_.clear();
  for (auto& [id, link] : links_) {
    update_partition(*link);
    refresh(*link);
  }
}

int SimulatedNetwork::reset(const tcp::Endpoint& endpoint) {
  std::vector<Link*> torn;
  for (auto& [id, link] : links_) {
    if (has_end(link->connection, endpoint)) torn.push_back(link.get());
  }
  for (Link* link : torn) {
    link->connection.tear();
    refresh(*link);
  }
  return static_cast<int>(torn.size());
}

}  // namespace greenroom::testkit::detail
