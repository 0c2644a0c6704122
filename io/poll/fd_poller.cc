#include "greenroom/io/poll/fd_poller.h"

#include <stdexcept>

#include "greenroom/io/poll/libev_poller.h"
#include "greenroom/io/socket/socket_calls.h"

namespace greenroom::detail {

FdPoller::FdPoller(Hub& hub) : hub_(hub), home_(std::make_shared<PollerHome>()) {
  home_->hub = &hub;
  home_->poller = this;
  home_->port = &hub.port();
}

FdPoller::~FdPoller() {
  home_->poller = nullptr;
  home_->hub = nullptr;
}

std::span<std::byte> FdPoller::scratch() {
  if (!scratch_) scratch_ = std::make_unique<std::byte[]>(scratch_size);
  return {scratch_.get(), scratch_size};
}

namespace {

std::unique_ptr<FdPoller> make_poller(Hub& hub) {
  if (!hub.environment()) return std::make_unique<LibevPoller>(hub);
  SimulatedSockets* sockets = simulated_sockets_of(hub);
  if (!sockets)
    throw std::logic_error("greenroom: a socket in a simulation without sockets; run it on a hub");
  return sockets->make_poller(hub);
}

}  // namespace

FdPoller& poller_of(Hub& hub) {
  if (!hub.poller().watches_descriptors()) [[unlikely]]
    hub.install_poller(make_poller(hub));
  return static_cast<FdPoller&>(hub.poller());
}

}  // namespace greenroom::detail
