#include "greenroom/io/stream/lines.h"

#include <cerrno>

#include "greenroom/io/poll/fd_poller.h"
#include "greenroom/io/stream/next_line.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/task/describe.h"

namespace greenroom {

namespace {

// A receive loop that never runs out of mail never waits for its stream: it looks all the same,
// this often.
constexpr std::int64_t longest_without_look = 1'000'000;

std::span<std::byte> scratch() { return detail::poller_of(Hub::current()).scratch(); }

}  // namespace

namespace tcp {

void Lines::feed(std::span<const std::byte> bytes) {
  buffer_.feed({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  has_ended_ = bytes.empty();
}

std::optional<std::optional<std::string>> Lines::take_buffered() {
  std::optional<std::string> line = buffer_.take();
  if (!line && has_ended_) line = buffer_.take_rest();
  if (line) return line;
  if (buffer_.is_overlong()) {
    const auto& socket = detail::StreamAccess::socket(*stream_, "tcp.read_line");
    detail::throw_io_error(EMSGSIZE, "tcp.read_line", socket.address());
  }
  if (has_ended_) return std::optional<std::string>();
  return std::nullopt;
}

std::optional<std::string> Lines::next(Wait wait) {
  detail::enter_blocking_call();
  if (auto line = take_buffered()) return *std::move(line);
  const Wait until =
      wait.is_poll() || wait.is_forever() ? wait : detail::to_wait(wait.to_deadline());
  for (;;) {
    const std::span<std::byte> room = scratch();
    feed(room.first(stream_->read_some(room, until)));
    if (auto line = take_buffered()) return *std::move(line);
  }
}

std::optional<std::optional<std::string>> Lines::take_available() {
  if (auto line = take_buffered()) return line;
  detail::StreamSocket& socket = detail::StreamAccess::socket(*stream_, "tcp.read");
  socket.check_free(detail::Direction::read);
  const std::int64_t now = Hub::current().coarse_now();
  if (socket.is_surely_exhausted(detail::Direction::read) &&
      now - looked_at_ < longest_without_look)
    return std::nullopt;
  looked_at_ = now;
  const std::span<std::byte> room = scratch();
  while (const auto size = socket.try_read(room)) {
    feed(room.first(*size));
    if (auto line = take_buffered()) return line;
    if (socket.is_exhausted(detail::Direction::read)) break;
  }
  return std::nullopt;
}

}  // namespace tcp

namespace detail {

LineClause::LineClause(tcp::Lines& lines) : lines_(lines) {
  StreamAccess::socket(*lines_.stream_, "tcp.read").settle();
}

LineClause::~LineClause() { disarm(); }

bool LineClause::try_take() {
  auto line = lines_.take_available();
  if (!line) return false;
  taken = *std::move(line);
  return true;
}

void LineClause::arm(Waker receiver) {
  StreamSocket& socket = StreamAccess::socket(*lines_.stream_, "tcp.read");
  waker_ = receiver;
  socket.enter(Direction::read, *this);
  socket_ = &socket;
  socket.want(Direction::read);
}

void LineClause::disarm() noexcept {
  if (is_told_) poller_of(*waker_.task().hub).remove_told();
  is_told_ = false;
  if (socket_) socket_->leave(Direction::read, *this);
  socket_ = nullptr;
}

bool LineClause::on_ready() noexcept {
  if (waker_.wake()) {
    is_told_ = true;
    socket_->poller().add_told();
  }
  return true;
}

void LineClause::on_end(int) noexcept {
  socket_ = nullptr;  // try_take finds the stream closed, and says so
  waker_.wake();
}

std::string LineClause::describe() const { return detail::describe(waker_.task()); }

}  // namespace detail
}  // namespace greenroom
