// A TCP connection of a simulation: two ends, and what is on its way between them.
//
// One thread's. It models what a program can see of Linux' TCP: when a call fails with what, what a
// reset takes along and what it leaves readable, when buffers are full. Each direction is a queue
// of segments in order; nothing is lost, only late (a partition holds it back). It knows neither
// descriptors nor listeners: the network moves it on and looks at what came of it.
// Rejected: packets with sequence numbers; a program sees nothing of them.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>

#include "greenroom/io/socket/address.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::testkit::detail {

using greenroom::detail::Address;
using greenroom::detail::no_deadline;

// What the network decides for a connection.
class Wire {
 public:
  virtual std::int64_t now() = 0;
  // How long the next segment takes.
  virtual std::int64_t delay() = 0;
  // From 0 to count - 1.
  virtual std::size_t choose(std::size_t count) = 0;

 protected:
  ~Wire() = default;
};

struct BufferSizes {
  std::size_t send = 64 * 1024;
  std::size_t receive = 64 * 1024;
};

enum class Side : std::uint8_t { client, server };
inline Side other(Side side) { return side == Side::client ? Side::server : Side::client; }

class Connection {
 public:
  enum class State : std::uint8_t {
    nobody,       // no one is there yet, or has been asked
    connecting,   // has asked, and waits for the answer
    half_open,    // has answered; its listener counts it
    established,  // accepted or to be accepted
    over,         // reset, refused, given up: nothing is sent or taken any more
  };
  // There is no ack: the server's end is established as soon as the client's is, so that
  // connections are accepted in the order in which they were made.
  enum class Kind : std::uint8_t { syn, syn_ack, data, fin, reset };

  // Asks at once.
  Connection(const Address& client, const Address& server, const BufferSizes& buffers, Wire& wire);

  // What its owners call, with the kernel's results: -1 and errno.

  ssize_t read(Side side, std::span<std::byte> room);
  ssize_t write(Side side, std::string_view data);
  int shut_down(Side side);
  void close(Side side);
  int take_error(Side side);

  // What the network calls.

  State state(Side side) const { return end(side).state; }
  const Address& local(Side side) const { return end(side).local; }
  // Bits of `interest`.
  std::uint8_t readiness(Side side) const;
  // Nobody has that end: no more, or not yet.
  bool is_gone(Side side) const;
  bool is_gone() const { return is_gone(Side::client) && is_gone(Side::server); }

  // When the next segment from that side arrives; no_deadline if none is on its way.
  std::int64_t next_arrival(Side from) const;
  Kind next_kind(Side from) const { return end(from).on_the_way.front().kind; }
  // It arrives, or a part of it. Not for a syn: that is answered, refused, or asked again later.
  void arrive(Side from);
  void answer_syn();
  void refuse_syn();
  void repeat_syn();

  // Nothing arrives until it is joined again.
  void cut();
  void join();
  bool is_cut() const { return is_cut_; }
  // When an end that gets no answer stops waiting for one; no_deadline: it waits for none.
  std::int64_t gives_up_at() const { return gives_up_at_; }
  void give_up();
  // Both ends find it reset, now.
  void tear();
  // The listener is gone, of which that end was waiting to be accepted.
  void abort(Side side);

 private:
  struct Segment {
    Kind kind;
    std::int64_t arrives_at;
    std::string bytes;
  };
  struct End {
    Address local;
    State state = State::nobody;
    bool is_closed = false;       // by its owner
    bool is_write_shut = false;   // no more is written
    bool is_fin_sent = false;     // the other end is being told
    bool has_peer_ended = false;  // no more will come
    int error = 0;
    std::string unsent;              // there was no room at the other end yet
    std::deque<Segment> on_the_way;  // to the other end
    std::size_t bytes_on_the_way = 0;
    std::string received;
  };

  End& end(Side side) { return ends_[static_cast<int>(side)]; }
  const End& end(Side side) const { return ends_[static_cast<int>(side)]; }
  std::size_t room(Side side) const;
  void push(Side from, Kind kind, std::string bytes = {});
  void transmit(Side from);
  void arrive_data(Side from);
  void arrive_reset(Side at);
  void answer_with_reset(Side side);
  void end_with(Side side, int error);
  void update_patience();

  Wire& wire_;
  const BufferSizes buffers_;
  End ends_[2];
  bool is_cut_ = false;
  std::int64_t syn_pause_;
  std::int64_t gives_up_at_;
};

}  // namespace greenroom::testkit::detail
