// next_line: a clause of receive() that waits for a stream beside the mailbox.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "greenroom/io/poll/parked_waiter.h"
#include "greenroom/io/stream/lines.h"

namespace greenroom {

namespace detail {

// What receive() asks of a source that is no mail. In the frame of the receive.
class LineClause : private ParkedWaiter {
 public:
  using is_external_clause = void;  // NOLINT(readability-identifier-naming): receive()'s word

  // **Blocks.** if the stream was used on another hub before.
  explicit LineClause(tcp::Lines& lines);

  // A line, or the end of the stream, has come and is taken. Never parks. Throws IoError, and
  // ConcurrentUse if another greenlet reads.
  bool try_take();
  // Wakes the receiver when try_take may succeed.
  void arm(Waker receiver);
  void disarm() noexcept { leave(); }

 protected:
  ~LineClause() = default;
  std::optional<std::string> taken;

 private:
  tcp::Lines& lines_;
};

template <class Body>
class NextLine final : public LineClause {
 public:
  NextLine(tcp::Lines& lines, Body body) : LineClause(lines), body_(std::move(body)) {}
  auto run() { return body_(std::move(taken)); }

 private:
  Body body_;
};

}  // namespace detail

namespace tcp {

// A clause for receive(): matches when a whole line has come, or the end of the stream. The body
// takes a std::optional<std::string>, as Lines::next returns it; after the end it matches every
// time. What Lines::next would throw, receive() throws.
template <class Body>
auto next_line(Lines& lines, Body body) {
  return detail::NextLine<Body>(lines, std::move(body));
}

}  // namespace tcp

using tcp::next_line;

}  // namespace greenroom
