// How a simulated hub hears of its sockets. For the simulation's thread.
//
// Level-triggered, as the poller of a real hub: what is armed and ready is told at each poll.
#pragma once

#include <cstdint>
#include <vector>

#include "greenroom/io/poll/fd_poller.h"

namespace greenroom::testkit::detail {

using greenroom::detail::PolledFd;
class SimulatedNetwork;

class SimulatedPoller final : public greenroom::detail::FdPoller {
 public:
  SimulatedPoller(Hub& hub, SimulatedNetwork& network);
  ~SimulatedPoller() override;
  SimulatedPoller(const SimulatedPoller&) = delete;
  SimulatedPoller& operator=(const SimulatedPoller&) = delete;

  bool is_simulated() const override { return true; }
  void set_interest(PolledFd& polled, std::uint8_t interest) noexcept override;
  // Tells what is ready; does not wait.
  void poll(std::int64_t nanoseconds) override;
  bool has_news() override;

  // The network: this descriptor may have become ready.
  void list(int fd) { listed_.push_back(fd); }

 private:
  SimulatedNetwork& network_;
  std::vector<int> listed_;
};

}  // namespace greenroom::testkit::detail
