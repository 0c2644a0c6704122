#include "greenroom/io/tls/context.h"

#include <openssl/err.h>

#include <new>
#include <stdexcept>

#include "greenroom/io/socket/io_error.h"
#include "greenroom/io/tls/error_code.h"
#include "greenroom/io/tls/openssl.h"

namespace greenroom {

namespace {

using detail::TlsContext;

void check_loaded(bool is_loaded, const std::string& file) {
  if (!is_loaded) throw IoError(detail::take_openssl_error(), "tls.load", file);
  ERR_clear_error();
}

std::string encode(const std::vector<std::string>& protocols) {
  std::string encoded;
  for (const std::string& name : protocols) {
    if (name.empty() || name.size() > 255)
      throw std::invalid_argument("greenroom: the name of an ALPN protocol has 1 to 255 bytes");
    encoded += static_cast<char>(name.size());
    encoded += name;
  }
  return encoded;
}

// By default OpenSSL would ask at the terminal, which stops the hub.
int refuse_password(char*, int, int, void*) { return -1; }

// Whoever records the traffic can read none of it later, and nothing depends on padding.
constexpr const char* default_tls12_ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

// Each for itself, as OpenSSL passes over what it does not know in a list.
void check_cipher(SSL_CTX* context, const std::string& name) {
  const bool is_one = !name.empty() && name.find_first_of(":,; !@") == std::string::npos;
  if (is_one && SSL_CTX_set_cipher_list(context, name.c_str()) == 1) return;
  ERR_clear_error();
  throw std::invalid_argument("greenroom: tls12_ciphers: OpenSSL has no TLS 1.2 cipher suite '" +
                              name + "'; `openssl ciphers -tls1_2 -s` lists them");
}

void set_ciphers(SSL_CTX* context, const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    check_cipher(context, name);
    list += (list.empty() ? "" : ":") + name;
  }
  if (SSL_CTX_set_cipher_list(context, list.empty() ? default_tls12_ciphers : list.c_str()) != 1)
    throw IoError(detail::take_openssl_error(), "tls.load", "the cipher suites");
}

detail::OwnedOpenssl<SSL_CTX> make_context(const SSL_METHOD* method, tls::Version min_version,
                                           const std::vector<std::string>& tls12_ciphers) {
  ERR_clear_error();
  detail::OwnedOpenssl<SSL_CTX> owned(SSL_CTX_new(method));
  if (!owned) throw std::bad_alloc();
  SSL_CTX* context = owned.get();
  SSL_CTX_set_min_proto_version(
      context, min_version == tls::Version::tls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  // A server's own order decides, but for a client that says it computes ChaCha20 faster.
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  set_ciphers(context, tls12_ciphers);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  // One record for each call, so that a flood of records without data does not keep the hub.
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
  // An idle connection keeps no buffers; and what is shown is what the file has.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  // One recv for several records, not two for one.
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_passwd_cb(context, &refuse_password);
  return owned;
}

void load_certificate(SSL_CTX* context, const std::string& certificate, const std::string& key) {
  check_loaded(SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) == 1, certificate);
  const std::string& key_file = key.empty() ? certificate : key;
  check_loaded(SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) == 1,
               key_file);
}

void load_authorities(SSL_CTX* context, const std::string& file) {
  check_loaded(SSL_CTX_load_verify_file(context, file.c_str()) == 1, file);
}

// The client's list is checked by OpenSSL before.
int select_protocol(SSL*, const unsigned char** selected, unsigned char* size,
                    const unsigned char* offered, unsigned int offered_size, void* argument) {
  const std::string& ours = static_cast<const TlsContext*>(argument)->protocols;
  unsigned char* found = nullptr;
  const int result =
      SSL_select_next_proto(&found, size, reinterpret_cast<const unsigned char*>(ours.data()),
                            static_cast<unsigned int>(ours.size()), offered, offered_size);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *selected = found;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

tls::ClientContext::ClientContext(const ClientOptions& options) {
  auto made = std::make_shared<TlsContext>();
  made->openssl = make_context(TLS_client_method(), options.min_version, options.tls12_ciphers);
  made->protocols = encode(options.alpn);
  made->server_name = options.server_name;
  made->truncation = options.truncation;
  SSL_CTX* context = made->openssl.get();
  if (!options.ca_file.empty()) {
    load_authorities(context, options.ca_file);
  } else if (options.verify == Verify::peer) {
    check_loaded(SSL_CTX_set_default_verify_paths(context) == 1, "the system's CAs");
  }
  SSL_CTX_set_verify(context, options.verify == Verify::peer ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                     nullptr);
  if (!options.certificate_file.empty()) {
    load_certificate(context, options.certificate_file, options.key_file);
  } else if (!options.key_file.empty()) {
    throw std::invalid_argument("greenroom: a TLS client with a key_file needs a certificate_file");
  }
  context_ = std::move(made);
}

tls::ServerContext::ServerContext(const ServerOptions& options) {
  if (options.certificate_file.empty())
    throw std::invalid_argument("greenroom: a TLS server needs a certificate_file");
  auto made = std::make_shared<TlsContext>();
  made->openssl = make_context(TLS_server_method(), options.min_version, options.tls12_ciphers);
  made->protocols = encode(options.alpn);
  made->truncation = options.truncation;
  SSL_CTX* context = made->openssl.get();
  load_certificate(context, options.certificate_file, options.key_file);
  if (!options.client_ca_file.empty()) {
    load_authorities(context, options.client_ca_file);
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(options.client_ca_file.c_str());
    check_loaded(names != nullptr, options.client_ca_file);
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  if (!made->protocols.empty()) SSL_CTX_set_alpn_select_cb(context, &select_protocol, made.get());
  context_ = std::move(made);
}

}  // namespace greenroom
