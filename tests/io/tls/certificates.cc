#include "greenroom/tests/io/tls/certificates.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

namespace greenroom::certificates {

namespace {

std::atomic<long> next_number{1};

using Text = std::unique_ptr<BIO, decltype(&BIO_free)>;

std::string write(const Text& text) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  return write_file(std::string(data, static_cast<std::size_t>(size)));
}

std::string write(X509* certificate) {
  const Text text(BIO_new(BIO_s_mem()), &BIO_free);
  PEM_write_bio_X509(text.get(), certificate);
  return write(text);
}

std::string write(EVP_PKEY* key) {
  const Text text(BIO_new(BIO_s_mem()), &BIO_free);
  PEM_write_bio_PrivateKey(text.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return write(text);
}

EVP_PKEY* make_key(KeyType type = KeyType::ed25519) {
  if (type == KeyType::rsa) return EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048});
  return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
}

}  // namespace

std::string write_file(const std::string& text) {
  std::string path = testing::TempDir() + "/" + std::to_string(::getpid()) + "-" +
                     std::to_string(next_number++) + ".pem";
  std::ofstream(path) << text;
  return path;
}

Authority::Certificate Authority::make(const Wanted& wanted, EVP_PKEY* key) {
  Certificate certificate(X509_new(), &X509_free);
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), next_number++);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), wanted.valid_from);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), wanted.valid_until);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(wanted.name.c_str()), -1, -1,
                             0);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

void Authority::sign(X509* certificate, const char* extension, const std::string& value) const {
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate_.get()));
  X509_EXTENSION* made = X509V3_EXT_conf(nullptr, nullptr, extension, value.c_str());
  X509_add_ext(certificate, made, -1);
  X509_EXTENSION_free(made);
  X509_sign(certificate, key_.get(), nullptr);
}

Authority::Authority(const std::string& name)
    : key_(make_key(), &EVP_PKEY_free), certificate_(make({.name = name}, key_.get())) {
  sign(certificate_.get(), "basicConstraints", "critical,CA:TRUE");
  file_ = write(certificate_.get());
}

Files Authority::issue(const Wanted& wanted) const {
  const Key key(make_key(wanted.key), &EVP_PKEY_free);
  const Certificate certificate = make(wanted, key.get());
  sign(certificate.get(), "subjectAltName", wanted.alternatives);
  return {write(certificate.get()), write(key.get())};
}

}  // namespace greenroom::certificates
