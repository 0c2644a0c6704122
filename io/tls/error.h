// What goes wrong with TLS, for programs that ask; what() of the IoError says it in words.
#pragma once

#include <cstdint>
#include <system_error>

namespace greenroom::tls {

// What the code() of an IoError compares with, besides std::errc: `error.code() ==
// tls::Failure::certificate`.
enum class Failure : std::uint8_t {
  certificate = 1,  // the peer's is refused here: expired, another host's, of an unknown CA
  refused,          // the peer has refused, or given up, and says why
  truncated,        // the connection ended without the peer's close_notify: bytes may be missing
  protocol,         // the rest: no TLS, no version or cipher in common, bytes that were changed
};

std::error_condition make_error_condition(Failure failure);

}  // namespace greenroom::tls

template <>
struct std::is_error_condition_enum<greenroom::tls::Failure> : std::true_type {};
