#include "greenroom/testkit/simulation/simulated_poller.h"

#include <utility>

#include "greenroom/testkit/simulation/simulated_network.h"

namespace greenroom::testkit::detail {

SimulatedPoller::SimulatedPoller(Hub& hub, SimulatedNetwork& network)
    : FdPoller(hub), network_(network) {}

SimulatedPoller::~SimulatedPoller() { network_.forget(*this); }

void SimulatedPoller::set_interest(PolledFd& polled, std::uint8_t interest) noexcept {
  network_.watch(polled, *this, interest);
}

bool SimulatedPoller::has_news() {
  // Whoever was told and has not looked is ready to run: it would be told the same again.
  if (told() > 0) return false;
  while (!listed_.empty() && network_.news(listed_.back(), *this) == 0) {
    network_.take_listed(listed_.back(), *this);
    listed_.pop_back();
  }
  return !listed_.empty();
}

void SimulatedPoller::poll(std::int64_t) {
  for (const int fd : std::exchange(listed_, {})) {
    const std::uint8_t ready = network_.news(fd, *this);
    PolledFd* polled = network_.take_listed(fd, *this);
    if (ready == 0 || !polled) continue;
    tell_ready(*polled, ready);
    network_.list_again(fd);
  }
}

}  // namespace greenroom::testkit::detail
