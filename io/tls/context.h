// TLS: what connections are to be. Loaded once, used for any number of them, by any hub.
//
// Values; copies share what was loaded. Files are PEM and are read by the constructor, on the
// hub's thread; a file that changes needs a new context. A constructor throws IoError, "tls.load
// key.pem: key values mismatch", and std::invalid_argument for options that cannot be meant, such
// as a cipher suite that OpenSSL does not have.
//
// Rejected: setters (a context that changes while hubs use it); sessions that are resumed (the
// tickets that a client has not read turn its close into a reset, and keys live longer).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace greenroom {

namespace detail {
struct TlsContext;
}

namespace tls {

enum class Version : std::uint8_t { tls12, tls13 };

enum class Verify : std::uint8_t {
  peer,     // the server's certificate must be valid, of a CA that is trusted, and of its name
  nothing,  // whoever answers is taken for the server: encryption without protection
};

// A connection that ends without the peer's close_notify, as one does that was cut.
enum class Truncation : std::uint8_t {
  is_error,
  is_end,  // for protocols whose messages say where they end
};

struct ClientOptions {
  std::string server_name = {};  // asked for and verified; empty: the endpoint's host
  std::string ca_file = {};      // trusted CAs; empty: the system's
  Verify verify = Verify::peer;
  std::string certificate_file = {};   // the client's own, its chain after it; empty: none
  std::string key_file = {};           // empty: in certificate_file
  std::vector<std::string> alpn = {};  // protocols that are offered, the best one first
  Version min_version = Version::tls12;
  Truncation truncation = Truncation::is_error;
  // The cipher suites of TLS 1.2 that are offered, the best one first, by OpenSSL's names
  // ("ECDHE-RSA-AES128-GCM-SHA256") or keywords ("ECDHE+AESGCM"). Empty: those with forward secrecy
  // and authenticated encryption, which is ECDHE with AES-GCM or ChaCha20-Poly1305. TLS 1.3 has no
  // others.
  std::vector<std::string> tls12_ciphers = {};
};

struct ServerOptions {
  std::string certificate_file = {};   // its chain after it
  std::string key_file = {};           // empty: in certificate_file
  std::string client_ca_file = {};     // clients must show a certificate of these CAs; empty: none
  std::vector<std::string> alpn = {};  // protocols that are spoken, the best one first
  Version min_version = Version::tls12;
  Truncation truncation = Truncation::is_error;
  std::vector<std::string> tls12_ciphers = {};  // as a client's; the first that the client has, too
};

class ClientContext {
 public:
  explicit ClientContext(const ClientOptions& options);

 private:
  friend struct detail::TlsContext;
  std::shared_ptr<const detail::TlsContext> context_;
};

class ServerContext {
 public:
  explicit ServerContext(const ServerOptions& options);

 private:
  friend struct detail::TlsContext;
  std::shared_ptr<const detail::TlsContext> context_;
};

}  // namespace tls
}  // namespace greenroom
