// tcp::Lines: a stream as lines of text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "greenroom/io/stream/line_buffer.h"
#include "greenroom/io/stream/stream.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom {

namespace detail {

class LineClause;

// What has come of a stream's next line.
struct LineArrival {
  enum class State : std::uint8_t { nothing_yet, line, end_of_stream };
  bool has_come() const { return state != State::nothing_yet; }
  // What has come, as Lines::next returns it.
  std::optional<std::string> take() && {
    return state == State::line ? std::optional(std::move(line)) : std::nullopt;
  }

  State state = State::nothing_yet;
  std::string line = {};
};

}  // namespace detail

namespace tcp {

// Reads ahead, so whoever made it reads by it and not from the stream, which it does not own and
// which must stay where it is. A line ends with LF or CRLF, which are not part of it; its other
// bytes are anything.
class Lines {
 public:
  // A longer line than this, its end not counted, is an error: the peer may be hostile.
  explicit Lines(Stream& stream, std::size_t max_line = 4096)
      : stream_(&stream), buffer_(max_line) {}

  // **Blocks.** until there is a whole line. At the end of the stream first what came after the
  // last LF, if anything did, then nothing, again and again. Throws IoError: timed_out if the wait
  // was over first (the next call goes on with what had come), message_size for a line that is too
  // long (from then on always).
  std::optional<std::string> next(Wait wait = Wait::forever());

 private:
  friend class detail::LineClause;
  // From what has been read. Throws IoError.
  detail::LineArrival take_buffered();
  // Reads, without parking, until something has come or there is nothing to read. Throws IoError.
  detail::LineArrival take_available();
  void feed(std::span<const std::byte> bytes);

  Stream* stream_;
  detail::LineBuffer buffer_;
  bool has_ended_ = false;
  std::int64_t looked_at_ = 0;
};

}  // namespace tcp
}  // namespace greenroom
