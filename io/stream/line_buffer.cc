#include "greenroom/io/stream/line_buffer.h"

#include <algorithm>

namespace greenroom::detail {

namespace {

// Not worth giving back.
constexpr std::size_t kept_capacity = 64;

}  // namespace

void LineBuffer::feed(std::string_view bytes) {
  if (begin_ > 0) {  // what is left is less than a line
    bytes_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  bytes_.append(bytes);
}

std::optional<std::string> LineBuffer::take() {
  if (is_overlong_) return std::nullopt;
  const std::size_t end = bytes_.find('\n', scanned_);
  if (end == std::string::npos) {
    scanned_ = bytes_.size();
    // The last byte may be the CR of a CRLF.
    const bool may_end = !bytes_.empty() && bytes_.back() == '\r';
    is_overlong_ = unread() - (may_end && unread() > 0 ? 1 : 0) > max_line_;
    return std::nullopt;
  }
  std::string_view line(bytes_.data() + begin_, end - begin_);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.size() > max_line_) {
    is_overlong_ = true;
    return std::nullopt;
  }
  std::string result(line);
  consume(end + 1 - begin_);
  return result;
}

std::optional<std::string> LineBuffer::take_rest() {
  if (unread() > max_line_) is_overlong_ = true;  // it was not the CR of a CRLF
  if (is_overlong_ || unread() == 0) return std::nullopt;
  std::string result = bytes_.substr(begin_);
  consume(unread());
  return result;
}

std::string LineBuffer::take_unread() {
  std::string result = bytes_.substr(begin_);
  consume(unread());
  return result;
}

void LineBuffer::consume(std::size_t count) {
  begin_ += count;
  scanned_ = begin_;
  if (begin_ < bytes_.size()) return;
  if (bytes_.capacity() > kept_capacity) {
    std::string().swap(bytes_);
  } else {
    bytes_.clear();
  }
  begin_ = scanned_ = 0;
}

}  // namespace greenroom::detail
