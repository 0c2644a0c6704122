#include "greenroom/io/stream/line_source.h"

#include <cassert>
#include <utility>

namespace greenroom::detail {

namespace {

// What one connection may have of a round of the hub.
constexpr int reads_in_a_round = 4;

}  // namespace

LineSource::~LineSource() { assert(state_ != State::waiting); }

void LineSource::attach(tcp::Stream& stream, std::unique_ptr<LineSource> source) {
  StreamSocket& socket = StreamAccess::socket(stream, "tcp.attach");
  socket.enter(Direction::read, *source);
  LineSource& attached = *source;
  attached.socket_ = &socket;
  attached.state_ = State::waiting;
  attached.buffer_.feed(socket.take_put_back());
  socket.line_source = std::move(source);  // one that is over, if any, goes
  socket.want(Direction::read);
  attached.deliver();
}

void LineSource::resume() {
  is_running_ = true;
  if (state_ != State::waiting || is_delivering_) return;
  deliver();
  if (state_ == State::waiting && is_running_) socket_->want(Direction::read);
}

void LineSource::give_back() {
  is_running_ = false;
  if (state_ != State::waiting) return;
  socket_->leave(Direction::read, *this);
  state_ = State::detached;
  socket_->put_back(buffer_.take_unread());
}

// Lines that have been read, as long as it runs; the end when all are delivered.
void LineSource::deliver() {
  is_delivering_ = true;
  while (is_running_) {
    std::optional<std::string> line = buffer_.take();
    if (!line && has_ended_) line = buffer_.take_rest();
    if (!line) break;
    on_line(*std::move(line));
  }
  is_delivering_ = false;
  if (!is_running_) return;
  if (buffer_.is_overlong()) {
    finish(std::make_error_code(std::errc::message_size));
  } else if (has_ended_) {
    finish({});
  }
}

bool LineSource::on_ready() noexcept {
  for (int i = 0; i < reads_in_a_round && is_running_ && state_ == State::waiting; ++i) {
    if (!read()) break;
  }
  return is_running_ && state_ == State::waiting;
}

// One attempt. False: there was nothing to be read.
bool LineSource::read() {
  const std::span<std::byte> room = poller_of(Hub::current()).scratch();
  try {
    const auto size = socket_->try_read(room);
    if (!size) return false;
    has_ended_ = *size == 0;
    buffer_.feed({reinterpret_cast<const char*>(room.data()), *size});
  } catch (const IoError& error) {
    finish(error.code());
    return true;
  }
  deliver();
  return true;
}

void LineSource::finish(std::error_code error) {
  socket_->leave(Direction::read, *this);
  state_ = State::over;
  on_closed(error);
}

void LineSource::on_end(int error) noexcept {
  state_ = State::over;
  if (error != EBADF) on_closed({error, std::system_category()});
}

std::string LineSource::describe() const { return "a connection in active mode"; }

}  // namespace greenroom::detail
