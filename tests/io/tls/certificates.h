// Certificates that are made as a test needs them: an authority, and what it has signed. In the
// test's temporary folder; keys are Ed25519, unless RSA is asked for: their signatures all have one
// size, so that a simulated handshake is the same each time.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <cstdint>
#include <memory>
#include <string>

namespace greenroom::certificates {

struct Files {
  std::string certificate;
  std::string key;
};

enum class KeyType : std::uint8_t { ed25519, rsa };

struct Wanted {
  std::string name = "server";
  std::string alternatives = "DNS:localhost,IP:127.0.0.1";  // as openssl.cnf's subjectAltName
  long valid_from = -3600;                                  // seconds from now
  long valid_until = 24 * 3600;
  KeyType key = KeyType::ed25519;
};

class Authority {
 public:
  explicit Authority(const std::string& name = "authority");
  // Its own certificate, for who trusts it.
  const std::string& file() const { return file_; }
  Files issue(const Wanted& wanted = {}) const;

 private:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
  static Certificate make(const Wanted& wanted, EVP_PKEY* key);
  void sign(X509* certificate, const char* extension, const std::string& value) const;

  Key key_;
  Certificate certificate_;
  std::string file_;
};

// A new file with this text in the test's folder.
std::string write_file(const std::string& text);

}  // namespace greenroom::certificates
