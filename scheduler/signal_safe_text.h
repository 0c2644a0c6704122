// Text for stderr as a signal handler may write it: without allocating, and with write(2) alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace greenroom::detail {

// One line, gathered on the stack; what does not fit into 511 bytes is cut.
class SignalSafeLine {
 public:
  SignalSafeLine& operator<<(std::string_view text);
  SignalSafeLine& add_number(std::uintptr_t number, unsigned base);
  std::string_view text() const { return {text_, size_}; }

  // Writes the line and its end to stderr, and empties it.
  void write();

 private:
  char text_[512];
  std::size_t size_ = 0;
};

// Adds a mangled name in plain words, as far as that goes without abi::__cxa_demangle, which
// allocates: no template arguments, no parameters. "_ZN3app4TreeIiE4walkEi" is
// "app::Tree<>::walk". Operators, lambdas and the like stay mangled.
void append_plain_name(SignalSafeLine& line, const char* symbol);

}  // namespace greenroom::detail
