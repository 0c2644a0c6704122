#include "greenroom/io/stream/lines.h"

#include <cerrno>

#include "greenroom/io/poll/fd_poller.h"
#include "greenroom/io/stream/next_line.h"
#include "greenroom/scheduler/hub/hub.h"

namespace greenroom {

namespace {

// A receive loop that never runs out of mail never waits for its stream, and a busy hub on which
// nobody waits for a descriptor does not poll: the loop looks all the same, this often.
constexpr std::int64_t longest_without_look = 1'000'000;

std::span<std::byte> scratch() { return detail::poller_of(Hub::current()).scratch(); }

}  // namespace

namespace tcp {

using detail::LineArrival;

void Lines::feed(std::span<const std::byte> bytes) {
  buffer_.feed({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  has_ended_ = bytes.empty();
}

LineArrival Lines::take_buffered() {
  std::optional<std::string> line = buffer_.take();
  if (!line && has_ended_) line = buffer_.take_rest();
  if (line) return {LineArrival::State::line, *std::move(line)};
  if (buffer_.is_overlong()) {
    const auto& socket = detail::StreamAccess::socket(*stream_, "tcp.read_line");
    detail::throw_io_error(EMSGSIZE, "tcp.read_line", socket.address());
  }
  return {has_ended_ ? LineArrival::State::end_of_stream : LineArrival::State::nothing_yet};
}

std::optional<std::string> Lines::next(Wait wait) {
  detail::enter_blocking_call();
  if (LineArrival arrival = take_buffered(); arrival.has_come()) return std::move(arrival).take();
  const Wait until =
      wait.is_poll() || wait.is_forever() ? wait : detail::to_wait(wait.to_deadline());
  for (;;) {
    const std::span<std::byte> room = scratch();
    feed(room.first(stream_->read_some(room, until)));
    if (LineArrival arrival = take_buffered(); arrival.has_come()) return std::move(arrival).take();
  }
}

LineArrival Lines::take_available() {
  LineArrival arrival = take_buffered();
  if (arrival.has_come()) return arrival;
  detail::StreamSocket& socket = detail::StreamAccess::socket(*stream_, "tcp.read");
  socket.check_free(detail::Direction::read);
  const std::int64_t now = Hub::current().coarse_now();
  if (!socket.is_armed(detail::Direction::read) || now - looked_at_ >= longest_without_look) {
    socket.look_again(detail::Direction::read);
    looked_at_ = now;
  }
  const std::span<std::byte> room = scratch();
  while (const auto size = socket.try_read(room)) {
    looked_at_ = now;
    feed(room.first(*size));
    arrival = take_buffered();
    if (arrival.has_come()) break;
  }
  return arrival;
}

}  // namespace tcp

namespace detail {

LineClause::LineClause(tcp::Lines& lines) : lines_(lines) {
  StreamAccess::socket(*lines_.stream_, "tcp.read").settle();
}

bool LineClause::try_take() {
  LineArrival arrival = lines_.take_available();
  if (!arrival.has_come()) return false;
  taken = std::move(arrival).take();
  return true;
}

// A stream that ends meanwhile wakes the receiver: try_take finds it closed, and says so.
void LineClause::arm(Waker receiver) {
  set_waker(receiver);
  enter(StreamAccess::socket(*lines_.stream_, "tcp.read"), Direction::read);
  want();
}

}  // namespace detail
}  // namespace greenroom
