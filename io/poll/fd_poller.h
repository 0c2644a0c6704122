// A poller that knows descriptors: libev's on a hub with a thread, a simulation's own on a
// simulated one. It takes the place of the scheduler's own at the hub's first watched descriptor.
//
// Everything is for the hub's thread only, except what says "any thread". Invariants: descriptors
// without a waiter may stay armed, but only waiters make the hub wait for ever.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/port/poller.h"

namespace greenroom::detail {

class FdPoller;

// What a descriptor is watched for: a bit each.
namespace interest {
inline constexpr std::uint8_t none = 0;
inline constexpr std::uint8_t read = 1;
inline constexpr std::uint8_t write = 2;
}  // namespace interest

// A descriptor in a poller. Stays where it is while it is armed.
class PolledFd {
 public:
  explicit PolledFd(int fd);
  PolledFd(const PolledFd&) = delete;
  PolledFd& operator=(const PolledFd&) = delete;
  int fd() const { return fd_; }

 protected:
  virtual ~PolledFd();
  // Hub work, neither parks nor throws. Level-triggered: told again in every round until it is
  // read, or disarmed.
  virtual void on_ready(std::uint8_t ready) noexcept = 0;
  // The kernel refuses to watch it; it is not armed any more.
  virtual void on_refused() noexcept = 0;

 private:
  friend class FdPoller;
  friend class LibevPoller;
  alignas(8) std::byte watcher_[48];  // libev's ev_io
  int fd_;
};

// The part of a poller that outlives it: how what it watched finds out that it is gone.
struct PollerHome {
  std::atomic<Hub*> hub;  // null once the poller is gone
  FdPoller* poller;       // for the hub's thread
  Port* port;             // any thread
};

class FdPoller : public Poller {
 public:
  explicit FdPoller(Hub& hub);
  ~FdPoller() override;
  FdPoller(const FdPoller&) = delete;
  FdPoller& operator=(const FdPoller&) = delete;

  bool is_watching() const override { return waiters_ > 0; }
  bool watches_descriptors() const override { return true; }
  // Its descriptors are a simulation's, not the kernel's.
  virtual bool is_simulated() const { return false; }

  // Arms the descriptor for exactly these; takes effect at the next poll.
  virtual void set_interest(PolledFd& polled, std::uint8_t interest) noexcept = 0;

  // Somebody waits, or does not any more.
  void add_waiter() noexcept { ++waiters_; }
  void remove_waiter() noexcept { --waiters_; }
  // A waiter was woken and has not looked yet; it has looked. While there are such, a busy hub does
  // not poll: it would be told the same again.
  void add_told() noexcept { ++told_; }
  void remove_told() noexcept { --told_; }

  const std::shared_ptr<PollerHome>& home() const { return home_; }

  // Room to read into between two parks; whoever reads takes the bytes out before it parks.
  std::span<std::byte> scratch();
  static constexpr std::size_t scratch_size = 16 * 1024;

 protected:
  Hub& hub() const { return hub_; }
  int told() const { return told_; }
  static void tell_ready(PolledFd& polled, std::uint8_t ready) noexcept { polled.on_ready(ready); }

 private:
  Hub& hub_;
  int waiters_ = 0;
  int told_ = 0;
  std::unique_ptr<std::byte[]> scratch_;
  std::shared_ptr<PollerHome> home_;
};

// The hub's poller of descriptors, installed if there is none. For the hub's thread. Throws
// std::system_error if the process has no descriptor left, and std::logic_error in a simulation
// without sockets.
FdPoller& poller_of(Hub& hub);

}  // namespace greenroom::detail
