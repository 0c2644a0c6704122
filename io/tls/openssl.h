// OpenSSL's objects, owned. For tls_*.cc only: no public header includes this one.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "greenroom/io/tls/context.h"

namespace greenroom::detail {

struct FreeOpenssl {
  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
template <class T>
using OwnedOpenssl = std::unique_ptr<T, FreeOpenssl>;

// What a context has loaded; immutable, any thread.
struct TlsContext {
  OwnedOpenssl<SSL_CTX> openssl;
  std::string protocols = {};  // ALPN, as it is sent: each name after its length
  std::string server_name = {};
  tls::Truncation truncation = tls::Truncation::is_error;

  template <class Context>
  static const std::shared_ptr<const TlsContext>& of(const Context& context) {
    return context.context_;
  }
};

}  // namespace greenroom::detail
