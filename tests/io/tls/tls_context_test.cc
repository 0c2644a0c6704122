// What a TLS context loads, and what it says about what it cannot load.
#include <gtest/gtest.h>

#include <stdexcept>

#include "greenroom/io/tls/context.h"
#include "greenroom/tests/io/tls/tls_loopback.h"

namespace greenroom {
namespace {

using certificates::Files;
using tls_loopback::authority;
using tls_loopback::server_files;
using tls_loopback::words_of;

std::string words_of_server(const tls::ServerOptions& options) {
  return words_of([&] { tls::ServerContext{options}; });
}

std::string words_of_client(const tls::ClientOptions& options) {
  return words_of([&] { tls::ClientContext{options}; });
}

// An RSA key would do, too; it is what the file says that counts.
const char* const encrypted_key =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MFMGCSqGSIb3DQEFDTBGMCkGCSqGSIb3DQEFDDAcBAgAAAAAAAAAAAICCAAwDAYI\n"
    "KoZIhvcNAgkFADAZBgkrBgEEAQEBAQEEDAAAAAAAAAAAAAAAAAQJAAAAAAAAAAAA\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";

TEST(TlsContext, LoadsACertificateWithItsKey) {
  const Files& files = server_files();
  EXPECT_EQ(words_of_server({.certificate_file = files.certificate, .key_file = files.key}), "");
}

TEST(TlsContext, ErrorNamesTheFileThatIsMissing) {
  EXPECT_EQ(words_of_server({.certificate_file = "/nowhere.pem"}),
            "tls.load /nowhere.pem: No such file or directory");
  EXPECT_EQ(
      words_of_server({.certificate_file = server_files().certificate, .key_file = "/nowhere.pem"}),
      "tls.load /nowhere.pem: No such file or directory");
  EXPECT_EQ(words_of_client({.ca_file = "/nowhere.pem"}),
            "tls.load /nowhere.pem: No such file or directory");
}

TEST(TlsContext, ErrorNamesTheKeyThatIsAnothers) {
  const Files other = authority().issue();
  EXPECT_EQ(
      words_of_server({.certificate_file = server_files().certificate, .key_file = other.key}),
      "tls.load " + other.key + ": key values mismatch");
}

TEST(TlsContext, ErrorSaysThatAFileIsNoCertificate) {
  const std::string file = certificates::write_file("not a certificate");
  EXPECT_EQ(words_of_server({.certificate_file = file}), "tls.load " + file + ": no start line");
  EXPECT_EQ(words_of_client({.ca_file = file}),
            "tls.load " + file + ": no certificate or crl found");
}

TEST(TlsContext, KeyWithAPasswordIsRefusedAndNobodyIsAsked) {
  const std::string file = certificates::write_file(encrypted_key);
  const std::string words =
      words_of_server({.certificate_file = server_files().certificate, .key_file = file});
  EXPECT_EQ(words.rfind("tls.load " + file + ": ", 0), 0U) << words;
}

TEST(TlsContext, OptionsThatCannotBeMeantAreMisuse) {
  EXPECT_THROW(tls::ServerContext({}), std::invalid_argument);
  EXPECT_THROW(tls::ClientContext({.key_file = server_files().key}), std::invalid_argument);
  EXPECT_THROW(tls::ClientContext({.alpn = {""}}), std::invalid_argument);
  EXPECT_THROW(tls::ClientContext({.alpn = {std::string(256, 'x')}}), std::invalid_argument);
}

std::string words_of_misuse(const std::vector<std::string>& ciphers) {
  try {
    const tls::ClientContext refused({.tls12_ciphers = ciphers});
    return {};
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

TEST(TlsContext, TakesCipherSuitesByNameAndByKeyword) {
  EXPECT_EQ(words_of_misuse({"ECDHE-RSA-AES128-GCM-SHA256", "AES128-SHA"}), "");
  EXPECT_EQ(words_of_misuse({"ECDHE+AESGCM"}), "");
}

TEST(TlsContext, ErrorNamesTheCipherSuiteThatOpensslDoesNotHave) {
  const std::string beginning = "greenroom: tls12_ciphers: OpenSSL has no TLS 1.2 cipher suite '";
  for (const char* unknown : {"ROT13-SHA256", "", "TLS_AES_128_GCM_SHA256", "!aNULL",
                              "AES128-SHA:ROT13-SHA256", "@SECLEVEL=0"}) {
    const std::string words = words_of_misuse({"ECDHE-RSA-AES128-GCM-SHA256", unknown});
    EXPECT_EQ(words.rfind(beginning + unknown + "';", 0), 0U) << unknown << ": " << words;
  }
}

}  // namespace
}  // namespace greenroom
