#include "greenroom/testkit/simulation/simulated_connection.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include "greenroom/io/poll/fd_poller.h"

namespace greenroom::testkit::detail {

namespace interest = greenroom::detail::interest;

namespace {

// Linux' own: net.ipv4.tcp_syn_retries = 6, tcp_retries2 = 15.
constexpr std::int64_t first_syn_pause = 1'000'000'000;
constexpr std::int64_t connect_patience = 127'000'000'000;
constexpr std::int64_t data_patience = 924'600'000'000;

int fail(int error) {
  errno = error;
  return -1;
}

}  // namespace

Connection::Connection(const Address& client, const Address& server, const BufferSizes& buffers,
                       Wire& wire)
    : wire_(wire),
      buffers_(buffers),
      syn_pause_(first_syn_pause),
      gives_up_at_(wire.now() + connect_patience) {
  end(Side::client).local = client;
  end(Side::client).state = State::connecting;
  end(Side::server).local = server;
  push(Side::client, Kind::syn);
}

bool Connection::is_gone(Side side) const {
  const End& end = this->end(side);
  return end.is_closed || end.state == State::nobody;
}

// The calls.

ssize_t Connection::read(Side side, std::span<std::byte> room) {
  End& end = this->end(side);
  if (!end.received.empty()) {
    const std::size_t size = std::min(room.size(), end.received.size());
    std::copy_n(reinterpret_cast<const std::byte*>(end.received.data()), size, room.data());
    end.received.erase(0, size);
    transmit(other(side));
    return static_cast<ssize_t>(size);
  }
  if (end.has_peer_ended) return 0;
  if (const int error = take_error(side)) return fail(error);
  if (end.state == State::over) return 0;
  return fail(EAGAIN);
}

ssize_t Connection::write(Side side, std::string_view data) {
  End& end = this->end(side);
  if (end.error != 0 || end.is_write_shut || end.state == State::over) {
    const int error = take_error(side);
    return fail(error != 0 ? error : EPIPE);
  }
  if (end.state == State::connecting) return fail(EAGAIN);
  const std::size_t room = this->room(side);
  if (room == 0) return fail(EAGAIN);
  // What fits is taken whole, as by the kernel; of more, any part.
  const std::size_t size = data.size() <= room ? data.size() : room - wire_.choose(room);
  end.unsent.append(data.substr(0, size));
  transmit(side);
  return static_cast<ssize_t>(size);
}

int Connection::shut_down(Side side) {
  End& end = this->end(side);
  if (end.state != State::established) return fail(ENOTCONN);
  end.is_write_shut = true;
  transmit(side);
  return 0;
}

void Connection::close(Side side) {
  End& end = this->end(side);
  end.is_closed = true;
  if (end.state == State::established && end.received.empty()) {
    end.is_write_shut = true;  // what was written still arrives
    transmit(side);
    return;
  }
  // Whoever closes with bytes unread has the peer know that they were in vain.
  if (end.state == State::established) push(side, Kind::reset);
  end_with(side, 0);
}

int Connection::take_error(Side side) { return std::exchange(end(side).error, 0); }

std::uint8_t Connection::readiness(Side side) const {
  const End& end = this->end(side);
  std::uint8_t ready = interest::none;
  const bool is_over = end.error != 0 || end.state == State::over;
  if (is_over || end.has_peer_ended || !end.received.empty()) ready |= interest::read;
  // As Linux: not for a little room.
  const bool has_room = end.state == State::established && room(side) * 3 >= buffers_.send;
  if (is_over || end.is_write_shut || has_room) ready |= interest::write;
  return ready;
}

std::size_t Connection::room(Side side) const {
  const End& end = this->end(side);
  const std::size_t taken = end.unsent.size() + end.bytes_on_the_way;
  return taken < buffers_.send ? buffers_.send - taken : 0;
}

// The way.

void Connection::push(Side from, Kind kind, std::string bytes) {
  End& end = this->end(from);
  if (kind == Kind::reset && is_cut_) return;  // nobody says it a second time
  std::int64_t arrives_at = wire_.now() + wire_.delay();
  if (!end.on_the_way.empty()) arrives_at = std::max(arrives_at, end.on_the_way.back().arrives_at);
  end.bytes_on_the_way += bytes.size();
  end.on_the_way.push_back({kind, arrives_at, std::move(bytes)});
  update_patience();
}

// What the other end has room for; half of its buffer at a time if there is that much to send.
void Connection::transmit(Side from) {
  End& source = end(from);
  const End& target = end(other(from));
  if (source.state != State::established) return;
  while (!source.unsent.empty()) {
    const std::size_t taken =
        source.bytes_on_the_way + (target.is_closed ? 0 : target.received.size());
    const std::size_t window = taken < buffers_.receive ? buffers_.receive - taken : 0;
    const std::size_t size = std::min(source.unsent.size(), window);
    if (size == 0 || size < std::min(source.unsent.size(), buffers_.receive / 2)) return;
    push(from, Kind::data, source.unsent.substr(0, size));
    source.unsent.erase(0, size);
  }
  if (source.is_write_shut && !std::exchange(source.is_fin_sent, true)) push(from, Kind::fin);
}

std::int64_t Connection::next_arrival(Side from) const {
  const End& source = end(from);
  return is_cut_ || source.on_the_way.empty() ? no_deadline : source.on_the_way.front().arrives_at;
}

void Connection::arrive(Side from) {
  End& source = end(from);
  End& target = end(other(from));
  const Kind kind = next_kind(from);
  if (kind == Kind::data) return arrive_data(from);
  source.on_the_way.pop_front();
  update_patience();
  if (target.state == State::over && kind != Kind::reset && kind != Kind::syn_ack)
    return answer_with_reset(other(from));
  switch (kind) {
    case Kind::syn_ack:
      if (target.state == State::connecting) {
        target.state = State::established;
        if (source.state == State::half_open) source.state = State::established;
        gives_up_at_ = no_deadline;
      } else {
        answer_with_reset(other(from));  // it has given up
      }
      break;
    case Kind::fin:
      target.has_peer_ended = true;
      break;
    default:
      assert(kind == Kind::reset);
      arrive_reset(other(from));
  }
}

void Connection::arrive_data(Side from) {
  End& source = end(from);
  End& target = end(other(from));
  Segment& segment = source.on_the_way.front();
  // Any part of it comes first, sometimes: a reader must not rely on how its peer has written.
  std::size_t size = segment.bytes.size();
  if (wire_.choose(2) == 0) size -= wire_.choose(size);
  source.bytes_on_the_way -= size;
  const bool is_wanted = target.state == State::established && !target.is_closed;
  if (is_wanted) target.received.append(segment.bytes, 0, size);
  segment.bytes.erase(0, size);
  if (segment.bytes.empty()) source.on_the_way.pop_front();
  update_patience();
  if (is_wanted) {
    transmit(from);
    return;
  }
  if (target.state != State::over) end_with(other(from), 0);
  answer_with_reset(other(from));
}

void Connection::answer_with_reset(Side side) {
  if (end(other(side)).state != State::over) push(side, Kind::reset);
}

void Connection::arrive_reset(Side at) {
  const End& end = this->end(at);
  if (end.state == State::over) return;
  if (end.state == State::connecting) return end_with(at, ECONNREFUSED);
  // As Linux: the peer had said that it ended, so it is a pipe without a reader.
  end_with(at, end.has_peer_ended && !end.is_write_shut ? EPIPE : ECONNRESET);
}

// What was received stays readable; what is on its way arrives.
void Connection::end_with(Side side, int error) {
  End& end = this->end(side);
  const bool was_never_seen = end.state == State::half_open;
  end.state = State::over;
  end.error = error;
  end.unsent.clear();
  if (was_never_seen) end.is_closed = true;
  update_patience();
}

// A connection is asked for.

void Connection::answer_syn() {
  end(Side::client).on_the_way.pop_front();
  end(Side::server).state = State::half_open;
  push(Side::server, Kind::syn_ack);
}

void Connection::refuse_syn() {
  end(Side::client).on_the_way.pop_front();
  push(Side::server, Kind::reset);
}

void Connection::repeat_syn() {
  end(Side::client).on_the_way.front().arrives_at = wire_.now() + syn_pause_;
  syn_pause_ *= 2;
}

// Weather.

void Connection::cut() {
  is_cut_ = true;
  update_patience();
}

void Connection::join() {
  is_cut_ = false;
  for (End& end : ends_) {
    std::int64_t earliest = wire_.now() + wire_.delay();
    for (Segment& segment : end.on_the_way)
      earliest = segment.arrives_at = std::max(segment.arrives_at, earliest);
  }
  update_patience();
}

// Only an end that has sent something waits for an answer.
void Connection::update_patience() {
  if (end(Side::client).state == State::connecting) return;  // has its own
  const auto waits = [](const End& end) {
    return end.state != State::over && !end.on_the_way.empty();
  };
  if (!is_cut_ || (!waits(ends_[0]) && !waits(ends_[1]))) {
    gives_up_at_ = no_deadline;
  } else if (gives_up_at_ == no_deadline) {
    gives_up_at_ = wire_.now() + data_patience;
  }
}

void Connection::give_up() {
  gives_up_at_ = no_deadline;
  const bool is_connecting = end(Side::client).state == State::connecting;
  for (const Side side : {Side::client, Side::server}) {
    End& end = this->end(side);
    if (end.state == State::over || end.state == State::nobody) continue;
    if (!is_connecting && end.on_the_way.empty()) continue;
    end.on_the_way.clear();
    end.bytes_on_the_way = 0;
    end_with(side, ETIMEDOUT);
  }
}

void Connection::tear() {
  for (const Side side : {Side::client, Side::server}) {
    End& end = this->end(side);
    end.on_the_way.clear();
    end.bytes_on_the_way = 0;
    if (end.state != State::over && end.state != State::nobody) arrive_reset(side);
  }
}

void Connection::abort(Side side) {
  push(side, Kind::reset);
  end_with(side, 0);
  end(side).is_closed = true;
}

}  // namespace greenroom::testkit::detail
