// A channel of c-ares on a hub: its sockets are the hub's poller's, its timeouts the hub's timers.
//
// Of one hub. c-ares calls back in the middle of its own work, on whatever stack that was called
// on: callbacks set down what they are told and wake, they never park, never throw and never call
// c-ares. Invariant: while nobody waits for an answer c-ares has no query, so no socket is open, no
// timer armed, and the hub is free to conclude LoopExit.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "greenroom/io/poll/fd_poller.h"
#include "greenroom/io/resolver/ares_query.h"
#include "greenroom/io/resolver/resolver_settings.h"
#include "greenroom/scheduler/sync/lock.h"
#include "greenroom/scheduler/time/timer_wheel.h"

struct ares_channeldata;

namespace greenroom::detail {

class AresChannel {
 public:
  // Reads /etc/resolv.conf and the like. Throws std::system_error, with a code of ares_error() or
  // of the system: also without a descriptor to read them by, as a channel that knows no name
  // server would be kept.
  AresChannel(Hub& hub, const dns::Options& options);
  // Who waits must have left.
  ~AresChannel();
  AresChannel(const AresChannel&) = delete;
  AresChannel& operator=(const AresChannel&) = delete;

  // Its hub has the poller that it was made with.
  bool is_usable() const { return home_->hub != nullptr; }

  // A permit for each query, which the answer gives back. A query that its greenlet has left keeps
  // its own: there are never more than so many.
  green::Semaphore& permits() { return permits_; }
  // Takes a permit over. The answer may be there at once: from /etc/hosts.
  void ask(AresQuery& query, const std::string& host, std::uint16_t port) noexcept;
  // Its greenlet wants it no more. The last one takes with it all that others have left.
  void leave(AresQuery& query) noexcept;

 private:
  class Socket;
  struct Timer : TimerNode {
    AresChannel* channel;
  };

  static void on_answer(void* query, int status, int timeouts, ares_addrinfo* list);
  static int on_socket_made(int fd, int type, void* channel);
  static void on_socket_wanted(void* channel, int fd, int readable, int writable);
  static void on_time(TimerNode& timer) noexcept;
  std::error_code error_of(int status) const noexcept;
  void process(int readable, int writable) noexcept;
  void update_timer() noexcept;
  void add_wanted() noexcept;
  void remove_wanted() noexcept;

  Hub& hub_;
  std::shared_ptr<PollerHome> home_;
  ares_channeldata* channel_ = nullptr;
  std::vector<std::unique_ptr<Socket>> sockets_;
  Timer timer_;
  int wanted_ = 0;      // queries whose greenlets wait
  int open_error_ = 0;  // why c-ares got no socket when it last wanted one
  green::Semaphore permits_;
};

// Leaves a query with the end of its scope.
struct LeaveAresQuery {
  AresChannel* channel;
  void operator()(AresQuery* query) const noexcept { channel->leave(*query); }
};

}  // namespace greenroom::detail
