// Text for stderr as a signal handler may write it: without allocating, and with write(2) alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace greenroom::detail {

// One line, gathered on the stack; what does not fit into `capacity` bytes is cut.
class SignalSafeLine {
 public:
  static constexpr std::size_t capacity = 511;

  SignalSafeLine& operator<<(std::string_view text);
  SignalSafeLine& add_number(std::uintptr_t number, unsigned base);
  std::string_view text() const { return {text_, size_}; }

  // Writes the line and its end to stderr, and empties it.
  void write();

 private:
  char text_[capacity + 1];  // one more for the end of the line
  std::size_t size_ = 0;
};

// Writes text to stderr, all of it unless stderr fails, or takes nothing for two seconds: a pipe
// that nobody reads. Then this and what comes later is dropped, as whoever writes this way is about
// to end the process.
void write_all(std::string_view text) noexcept;

// Adds a mangled name in plain words, as far as that goes without abi::__cxa_demangle, which
// allocates: no template arguments, no parameters. "_ZN3app4TreeIiE4walkEi" is
// "app::Tree<>::walk". Operators, lambdas and the like stay mangled.
void append_plain_name(SignalSafeLine& line, const char* symbol);
// Adds a type in plain words, as far as that goes: `name` is its type_info's.
void append_plain_type(SignalSafeLine& line, const char* name);

// Adds where code is loaded from: "libx.so+0x12f0", as addr2line takes it; takes no lock. The bare
// address if it belongs to no module.
void append_code_address(SignalSafeLine& line, std::uintptr_t address);

}  // namespace greenroom::detail
