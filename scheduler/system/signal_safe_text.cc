#include "greenroom/scheduler/system/signal_safe_text.h"

#include <dlfcn.h>
#include <link.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace greenroom::detail {
namespace {

// See append_plain_name. Nothing is copied: parts are views of the symbol.
class PlainName {
 public:
  explicit PlainName(const char* symbol) : symbol_(symbol) { is_plain_ = parse(); }

  bool is_plain() const { return is_plain_; }

  // Of a plain one.
  void append_to(SignalSafeLine& line) const {
    for (std::size_t i = 0; i < count_; ++i) {
      if (i > 0) line << "::";
      line << (parts_[i].starts_with("_GLOBAL__N") ? "(anonymous namespace)" : parts_[i]);
      if (has_arguments_[i]) line << "<>";
    }
  }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }

  bool parse() {
    if (std::strncmp(symbol_, "_Z", 2) != 0) return false;
    const char* rest = symbol_ + 2;
    const bool is_nested = *rest == 'N';
    if (is_nested) ++rest;
    while (*rest == 'K' || *rest == 'V') ++rest;  // const and volatile members
    if (std::strncmp(rest, "St", 2) == 0) {
      parts_[count_++] = "std";
      rest += 2;
    }
    for (;;) {
      if (*rest == 'L') ++rest;  // internal linkage
      if (count_ == max_parts || !take_name(rest, parts_[count_])) return false;
      if (*rest == 'I') {
        has_arguments_[count_] = true;
        if (!skip_group(rest)) return false;
      }
      ++count_;
      if (!is_nested) return true;
      if (*rest == 'E') return true;
    }
  }

  // A length and so many characters.
  static bool take_name(const char*& rest, std::string_view& name) {
    std::size_t size = 0;
    for (; is_digit(*rest) && size < 1000; ++rest) {
      size = size * 10 + static_cast<std::size_t>(*rest - '0');
    }
    if (size == 0 || strnlen(rest, size) < size) return false;
    name = {rest, size};
    rest += size;
    return true;
  }

  // Template arguments, from 'I' to the 'E' that ends them; what else ends with an 'E' may be
  // inside.
  static bool skip_group(const char*& rest) {
    int depth = 0;
    do {
      const char c = *rest;
      std::string_view name;
      if (is_digit(c)) {
        if (!take_name(rest, name)) return false;
        continue;
      }
      ++rest;
      if (c == 0 || c == 'X' || c == 'Y') return false;  // expressions are beyond this
      if (c == 'L') {
        if (*rest == '_') return false;  // a function as an argument
        rest = std::strchr(rest, 'E');   // a literal: its value may begin with a digit
        if (rest++ == nullptr) return false;
      }
      if (c == 'S' || c == 'T') {
        while (is_digit(*rest) || (*rest >= 'A' && *rest <= 'Z')) ++rest;  // S1_, T_: seen before
        ++rest;                                                            // '_' or the t of St
      }
      if (c == 'I' || c == 'N' || c == 'J' || c == 'F') ++depth;
      if (c == 'E') --depth;
    } while (depth > 0);
    return true;
  }

  static constexpr std::size_t max_parts = 16;
  const char* symbol_;
  std::string_view parts_[max_parts];
  bool has_arguments_[max_parts] = {};
  std::size_t count_ = 0;
  bool is_plain_ = false;
};

}  // namespace

SignalSafeLine& SignalSafeLine::operator<<(std::string_view text) {
  const std::size_t room = capacity - size_;
  const std::size_t count = text.size() < room ? text.size() : room;
  std::memcpy(text_ + size_, text.data(), count);
  size_ += count;
  return *this;
}

SignalSafeLine& SignalSafeLine::add_number(std::uintptr_t number, unsigned base) {
  char digits[24];
  char* end = digits + sizeof digits;
  char* first = end;
  do {
    *--first = "0123456789abcdef"[number % base];
    number /= base;
  } while (number != 0);
  return *this << std::string_view(first, static_cast<std::size_t>(end - first));
}

void SignalSafeLine::write() {
  text_[size_++] = '\n';
  write_all(text());
  size_ = 0;
}

void write_all(std::string_view text) noexcept {
  constexpr std::size_t never_blocks = 4096;  // for a pipe with room; PIPE_BUF
  constexpr int patience_in_milliseconds = 2000;
  static constinit std::atomic<bool> has_given_up{false};
  while (!text.empty() && !has_given_up) {
    pollfd file{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&file, 1, patience_in_milliseconds) == 0) has_given_up = true;
    if (has_given_up) break;
    const ssize_t written =
        ::write(STDERR_FILENO, text.data(), std::min(text.size(), never_blocks));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void append_plain_name(SignalSafeLine& line, const char* symbol) {
  const PlainName name(symbol);
  if (name.is_plain()) {
    name.append_to(line);
  } else {
    line << symbol;
  }
}

void append_plain_type(SignalSafeLine& line, const char* name) {
  char symbol[256] = "_Z";  // a type's mangled name has no such prefix
  const std::size_t size = std::strlen(name);
  if (size + 3 > sizeof symbol) {
    line << name;
    return;
  }
  std::memcpy(symbol + 2, name, size + 1);
  const PlainName plain(symbol);
  if (plain.is_plain()) {
    plain.append_to(line);
  } else {
    line << name;
  }
}

void append_code_address(SignalSafeLine& line, std::uintptr_t address) {
  dl_find_object module = {};
  if (_dl_find_object(reinterpret_cast<void*>(address), &module) != 0) {
    (line << "0x").add_number(address, 16);
    return;
  }
  const std::string_view path = module.dlfo_link_map->l_name;
  line << (path.empty() ? std::string_view(program_invocation_short_name)
                        : path.substr(path.rfind('/') + 1));
  (line << "+0x").add_number(address - module.dlfo_link_map->l_addr, 16);
}

}  // namespace greenroom::detail
