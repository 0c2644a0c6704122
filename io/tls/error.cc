#include "greenroom/io/tls/error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <string>

#include "greenroom/io/tls/error_code.h"

namespace greenroom {

namespace {

using tls::Failure;

// OpenSSL packs its library above these bits.
constexpr int first_queued_error = 1 << ERR_LIB_OFFSET;

bool is_alert(int value) {
  return ERR_GET_LIB(value) == ERR_LIB_SSL && ERR_GET_REASON(value) >= SSL_AD_REASON_OFFSET;
}

std::string words_of_queued(int value) {
  const char* reason = ERR_reason_error_string(static_cast<unsigned long>(value));
  std::string words = reason ? reason : "OpenSSL error " + std::to_string(value);
  if (is_alert(value)) return "the peer refuses: " + words;
  if (ERR_GET_LIB(value) != ERR_LIB_SSL) return words;
  switch (ERR_GET_REASON(value)) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
      return "the peer does not speak TLS (" + words + ")";
    default:
      return words;
  }
}

class TlsCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "tls"; }

  std::string message(int value) const override {
    switch (static_cast<detail::TlsError>(value)) {
      case detail::TlsError::truncated:
        return "truncated: the connection ended without close_notify";
      case detail::TlsError::truncated_in_handshake:
        return "truncated: the connection ended during the handshake";
      case detail::TlsError::answers_unread:
        return "the peer asks for answers and does not read them";
      case detail::TlsError::unknown:
        return "OpenSSL gives no reason";
    }
    if (value >= first_queued_error) return words_of_queued(value);
    return std::string("certificate refused: ") + X509_verify_cert_error_string(value);
  }

  std::error_condition default_error_condition(int value) const noexcept override {
    const auto error = static_cast<detail::TlsError>(value);
    if (error == detail::TlsError::truncated || error == detail::TlsError::truncated_in_handshake)
      return Failure::truncated;
    if (value > 0 && value < first_queued_error) return Failure::certificate;
    return value > 0 && is_alert(value) ? Failure::refused : Failure::protocol;
  }
};

class FailureCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "tls failure"; }

  std::string message(int value) const override {
    switch (static_cast<Failure>(value)) {
      case Failure::certificate:
        return "the peer's certificate is refused";
      case Failure::refused:
        return "the peer refuses";
      case Failure::truncated:
        return "truncated";
      case Failure::protocol:
        return "protocol error";
    }
    return "no failure";
  }
};

std::error_code tls_error(int value) {
  static const TlsCategory category;
  return {value, category};
}

}  // namespace

std::error_condition tls::make_error_condition(Failure failure) {
  static const FailureCategory category;
  return {static_cast<int>(failure), category};
}

std::error_code detail::make_error_code(TlsError error) {
  return tls_error(static_cast<int>(error));
}

std::error_code detail::make_certificate_error(long verdict) {
  return tls_error(static_cast<int>(verdict));
}

std::error_code detail::take_openssl_error() {
  const unsigned long error = ERR_peek_error();
  ERR_clear_error();
  if (error == 0) return make_error_code(TlsError::unknown);
  if (ERR_SYSTEM_ERROR(error)) return {ERR_GET_REASON(error), std::system_category()};
  return tls_error(static_cast<int>(error));
}

}  // namespace greenroom
