// The poller of a hub with a thread: a libev loop.
//
// Everything is for the hub's thread only. An idle loop makes no system call until something
// happens.
#pragma once

#include <cstdint>
#include <memory>

#include "greenroom/io/poll/fd_poller.h"

struct ev_loop;

namespace greenroom::detail {

class LibevPoller final : public FdPoller {
 public:
  explicit LibevPoller(Hub& hub);
  ~LibevPoller() override;
  LibevPoller(const LibevPoller&) = delete;
  LibevPoller& operator=(const LibevPoller&) = delete;

  void poll(std::int64_t nanoseconds) override;
  void set_interest(PolledFd& polled, std::uint8_t interest) noexcept override;

 private:
  struct Watchers;
  void drain_wake_descriptor() noexcept;

  struct ev_loop* loop_;
  int wake_descriptor_ = -1;
  int polls_skipped_ = 0;
  std::unique_ptr<Watchers> watchers_;
};

// A hub's way to be woken: kept for the next one, so it is open longer than any hub.
bool is_wake_descriptor(int fd) noexcept;

}  // namespace greenroom::detail
