// Error codes of the category "tls", whose words are OpenSSL's. Any thread.
#pragma once

#include <cstdint>
#include <system_error>

namespace greenroom::detail {

// What OpenSSL has no code for. Its own are positive: verdicts on certificates below 2^23, above
// them what is taken from its queue of errors.
enum class TlsError : std::int8_t {
  truncated = -1,
  truncated_in_handshake = -2,
  answers_unread = -3,
  unknown = -4,
};
std::error_code make_error_code(TlsError error);

// Why a certificate is refused: X509_V_ERR_*.
std::error_code make_certificate_error(long verdict);

// The first error in this thread's queue, which is empty afterwards; `unknown` if there is none.
// What the system said comes as its own.
std::error_code take_openssl_error();

}  // namespace greenroom::detail
