// Bytes in, lines out. Not thread-safe; knows no socket.
//
// Each byte is looked at once. Without unread bytes it owns no memory to speak of: most connections
// are idle.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace greenroom::detail {

class LineBuffer {
 public:
  explicit LineBuffer(std::size_t max_line) : max_line_(max_line) {}

  void feed(std::string_view bytes);

  // The next line, without its LF or CRLF. Nothing: feed more, or is_overlong().
  std::optional<std::string> take();
  // What comes after the last LF, if anything does and it is not overlong: for the end of the
  // stream. A CR that ends it is a byte of it.
  std::optional<std::string> take_rest();
  // All of it, as it came: for whoever reads on by other means.
  std::string take_unread();
  // The next line has more than max_line bytes, whether its end has come or not. It stays so.
  bool is_overlong() const { return is_overlong_; }

  std::size_t unread() const { return bytes_.size() - begin_; }

 private:
  void consume(std::size_t count);

  std::string bytes_;
  std::size_t begin_ = 0;    // of what is unread
  std::size_t scanned_ = 0;  // there is no LF in [begin_, scanned_)
  std::size_t max_line_;
  bool is_overlong_ = false;
};

}  // namespace greenroom::detail
