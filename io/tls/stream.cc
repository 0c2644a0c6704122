#include "greenroom/io/tls/stream.h"

#include <openssl/x509.h>

#include <cerrno>
#include <new>
#include <utility>

#include "greenroom/io/tcp/connect.h"
#include "greenroom/io/tls/openssl.h"
#include "greenroom/io/tls/session.h"
#include "greenroom/scheduler/greenlet/offload.h"
#include "greenroom/scheduler/hub/park.h"

namespace greenroom {

void detail::EndTlsSession::operator()(TlsSession* session) const noexcept { delete session; }

struct detail::TlsStreamAccess {
  static tls::Stream shake_hands(tcp::Stream stream, std::shared_ptr<const TlsContext> context,
                                 TlsSession::Role role, const std::string& server_name,
                                 std::int64_t deadline) {
    Task& self = enter_blocking_call();
    tls::Stream made;
    made.session_.reset(new TlsSession(std::move(stream), std::move(context), role, server_name));
    made.session_->handshake(self, deadline);
    return made;
  }
};

namespace tls {

Stream connect(tcp::Endpoint endpoint, const ClientContext& context, Wait wait) {
  const std::int64_t deadline = wait.to_deadline();
  // The caller's own context may be gone after a park.
  std::shared_ptr<const detail::TlsContext> loaded = detail::TlsContext::of(context);
  const std::string name = loaded->server_name.empty() ? endpoint.host : loaded->server_name;
  tcp::Stream stream = tcp::connect(std::move(endpoint), detail::to_wait(deadline));
  return detail::TlsStreamAccess::shake_hands(std::move(stream), std::move(loaded),
                                              detail::TlsSession::Role::client, name, deadline);
}

Stream connect(tcp::Endpoint endpoint, const ClientOptions& options, Wait wait) {
  const std::int64_t deadline = wait.to_deadline();
  // The system's CAs take 20 ms.
  const ClientContext context = offload([options] { return ClientContext(options); });
  return connect(std::move(endpoint), context, detail::to_wait(deadline));
}

Stream accept(tcp::Stream stream, const ServerContext& context, Wait wait) {
  return detail::TlsStreamAccess::shake_hands(std::move(stream), detail::TlsContext::of(context),
                                              detail::TlsSession::Role::server, {},
                                              wait.to_deadline());
}

detail::TlsSession& Stream::open(const char* operation) const {
  if (!session_) detail::throw_io_error(EBADF, operation, {});
  return *session_;
}

std::size_t Stream::read_some(std::span<std::byte> buffer, Wait wait) {
  detail::Task& self = detail::enter_blocking_call();
  return open("tls.read").read_some(self, buffer, wait);
}

void Stream::write_all(std::string_view data, Wait wait) {
  detail::Task& self = detail::enter_blocking_call();
  open("tls.write").write_all(self, data, wait);
}

void Stream::write_all(std::span<const std::byte> data, Wait wait) {
  write_all(std::string_view(reinterpret_cast<const char*>(data.data()), data.size()), wait);
}

void Stream::set_write_limit(std::chrono::nanoseconds limit) {
  open("tls.write").stream().set_write_limit(limit);
}

void Stream::shutdown_write(Wait wait) {
  detail::Task& self = detail::enter_blocking_call();
  open("tls.shutdown").shutdown_write(self, wait);
}

tcp::Endpoint Stream::local() const { return open("tls.local").stream().local(); }

tcp::Endpoint Stream::peer() const { return open("tls.peer").stream().peer(); }

Version Stream::version() const {
  const bool is_newest = SSL_version(open("tls.version").openssl()) >= TLS1_3_VERSION;
  return is_newest ? Version::tls13 : Version::tls12;
}

std::string Stream::cipher() const { return SSL_get_cipher_name(open("tls.cipher").openssl()); }

std::string Stream::alpn() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(open("tls.alpn").openssl(), &name, &size);
  return name ? std::string(reinterpret_cast<const char*>(name), size) : std::string();
}

std::string Stream::peer_certificate_subject() const {
  const X509* certificate = SSL_get0_peer_certificate(open("tls.certificate").openssl());
  if (!certificate) return {};
  const detail::OwnedOpenssl<BIO> text(BIO_new(BIO_s_mem()));
  if (!text) throw std::bad_alloc();
  // Control characters and the like are escaped.
  X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  return data ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

}  // namespace tls
}  // namespace greenroom
