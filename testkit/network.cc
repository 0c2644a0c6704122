#include <stdexcept>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/testkit/simulation/environment.h"
#include "greenroom/testkit/simulation/simulated_network.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom::testkit {

void Network::latency(std::chrono::nanoseconds least, std::chrono::nanoseconds most) {
  if (least.count() < 0 || most < least)
    throw std::invalid_argument("testkit::Network: latency is from least to most, from 0 on");
  network_->set_latency(least.count(), most.count());
}

void Network::buffers(std::size_t send, std::size_t receive) {
  if (send == 0 || receive == 0)
    throw std::invalid_argument("testkit::Network: a buffer has room for at least a byte");
  network_->set_buffers({send, receive});
}

void Network::descriptor_limit(std::size_t limit) { network_->set_descriptor_limit(limit); }

void Network::partition(const tcp::Endpoint& endpoint) { network_->partition(endpoint); }

void Network::heal() { network_->heal(); }

int Network::reset(const tcp::Endpoint& endpoint) { return network_->reset(endpoint); }

std::size_t Network::open_sockets() const { return network_->open_sockets().size(); }

Network network() {
  Hub* hub = Hub::current_if_any();
  auto* environment = hub ? dynamic_cast<detail::SeededEnvironment*>(hub->environment()) : nullptr;
  if (!environment)
    throw std::logic_error(
        "testkit::network: call it in a simulation; elsewhere it is the kernel's");
  return Network(environment->network());
}

}  // namespace greenroom::testkit
