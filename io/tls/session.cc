#include "greenroom/io/tls/session.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <stdexcept>
#include <utility>

#include "greenroom/io/poll/attempt.h"
#include "greenroom/io/tls/error_code.h"

namespace greenroom::detail {

namespace {

constexpr const char* handshake_operation = "tls.handshake";
constexpr const char* read_operation = "tls.read";
constexpr const char* write_operation = "tls.write";
constexpr const char* shutdown_operation = "tls.shutdown";

// What fits into a record.
constexpr std::size_t most_in_a_record = SSL3_RT_MAX_PLAIN_LENGTH;
// A writer leaves less than two records unsent; what is more are answers to a peer that does not
// read them.
constexpr std::size_t most_unsent = 64 * 1024;
// Records without data that are taken before others may run.
constexpr int most_records_in_a_row = 16;

}  // namespace

TlsSession::TlsSession(tcp::Stream stream, std::shared_ptr<const TlsContext> context, Role role,
                       const std::string& server_name)
    : stream_(std::move(stream)),
      socket_(StreamAccess::socket(stream_, handshake_operation)),
      transport_(socket_),
      context_(std::move(context)),
      ssl_(SSL_new(context_->openssl.get())),
      name_(to_string(socket_.address())) {
  if (!ssl_) throw std::bad_alloc();
  BIO* bio = transport_.make_bio();
  SSL_set_bio(ssl_.get(), bio, bio);
  if (role == Role::server) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
    identify(server_name);
  }
}

// An address is verified as such and never asked for; a name is both (RFC 6066, 9525).
void TlsSession::identify(const std::string& server_name) {
  SSL* const ssl = ssl_.get();
  std::string name = server_name.empty() ? "localhost" : server_name;
  const bool is_address = Address::parse(name, 0).has_value();
  if (is_address) {
    name.resize(std::min(name.find('%'), name.size()));  // the scope of a link-local address
  } else if (name.size() > 1 && name.back() == '.') {
    name.pop_back();
  }
  name_ += " as " + printable(name);
  X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(
      wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  const bool is_set = is_address
                          ? X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) == 1
                          : X509_VERIFY_PARAM_set1_host(wanted, name.data(), name.size()) == 1 &&
                                SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
  ERR_clear_error();
  if (!is_set) throw_error(handshake_operation, std::errc::invalid_argument);

  const std::string& protocols = context_->protocols;
  if (!protocols.empty() &&
      SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(protocols.data()),
                          static_cast<unsigned int>(protocols.size())) != 0)
    throw std::bad_alloc();
}

TlsSession::~TlsSession() {
  if (state_ == State::open && !has_said_goodbye_) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    transport_.flush();
  }
  ERR_clear_error();
}

// Errors.

void TlsSession::throw_error(const char* operation, std::error_code error) const {
  throw IoError(error, operation, name_);
}

void TlsSession::throw_error(const char* operation, std::errc error) const {
  throw_error(operation, std::error_code(static_cast<int>(error), std::system_category()));
}

void TlsSession::fail(const char* operation, std::error_code error) {
  state_ = State::failed;
  failure_ = error;
  transport_.flush();  // OpenSSL's last word, which tells the peer why
  throw_error(operation, error);
}

void TlsSession::check_write_error(const char* operation) const {
  if (transport_.write_error()) throw_error(operation, transport_.write_error());
}

// One call of OpenSSL.
template <class Call>
TlsSession::Step TlsSession::attempt(const char* operation, Call call) {
  if (state_ == State::failed) throw_error(operation, failure_);
  ERR_clear_error();
  transport_.begin();
  const int result = call(ssl_.get());
  if (result > 0) return Step::done;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      break;
    case SSL_ERROR_ZERO_RETURN:
      return Step::closed;
    default: {
      const long verdict = SSL_get_verify_result(ssl_.get());
      const unsigned long error = ERR_peek_error();
      const bool is_verdict = ERR_GET_LIB(error) == ERR_LIB_SSL &&
                              ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED;
      const std::error_code code = take_openssl_error();
      fail(operation, is_verdict && verdict != X509_V_OK ? make_certificate_error(verdict) : code);
    }
  }
  switch (transport_.arrival()) {
    case Arrival::bytes:
      return Step::again;
    case Arrival::nothing_yet:
      return Step::needs_input;
    case Arrival::end:
      return Step::cut;
    case Arrival::error:
      break;
  }
  throw_error(operation, transport_.read_error());
}

// Waiting.

void TlsSession::wait_until_flushed(Task& self, const char* operation, Wait wait) {
  if (transport_.unsent() == 0) return;
  const bool is_flushed = attempt_until({operation, self, socket_, Direction::write}, wait,
                                        [&] { return transport_.flush(); });
  if (!is_flushed) throw_error(operation, std::errc::timed_out);
}

// The verbs.

void TlsSession::handshake(Task& self, std::int64_t deadline) {
  const Wait wait = to_wait(deadline);
  socket_.prepare(Direction::read, wait);
  socket_.check_free(Direction::write);
  for (;;) {
    // What is unsent is waited for first, off the socket as a reader: one that waits for something
    // else would have the poller tell it again and again.
    const auto step = attempt_until(
        {handshake_operation, self, socket_, Direction::read}, wait, [&]() -> std::optional<Step> {
          const Step made = attempt(handshake_operation, SSL_do_handshake);
          if (made == Step::needs_input && transport_.flush()) return std::nullopt;
          return made;
        });
    if (!step) throw_error(handshake_operation, std::errc::timed_out);
    // A peer that does not listen any more may have said why: that is still to be read.
    wait_until_flushed(self, handshake_operation, wait);
    switch (*step) {
      case Step::done:
        check_write_error(handshake_operation);
        state_ = State::open;
        return;
      case Step::again:
      case Step::needs_input:
        break;
      case Step::closed:
      case Step::cut:
        fail(handshake_operation, make_error_code(TlsError::truncated_in_handshake));
    }
  }
}

std::optional<std::size_t> TlsSession::try_read(std::span<std::byte> buffer) {
  transport_.flush();  // answers that were left
  for (int records = 0; records < most_records_in_a_row; ++records) {
    std::size_t size = 0;
    const Step step = attempt(read_operation, [&](SSL* ssl) {
      return SSL_read_ex(ssl, buffer.data(), buffer.size(), &size);
    });
    if (step == Step::done) return size;
    if (step == Step::closed) return 0;
    if (step == Step::cut) {
      if (context_->truncation == tls::Truncation::is_end) return 0;
      throw_error(read_operation, make_error_code(TlsError::truncated));
    }
    if (transport_.unsent() > most_unsent)
      fail(read_operation, make_error_code(TlsError::answers_unread));
    if (step == Step::needs_input) break;
  }
  return std::nullopt;
}

std::size_t TlsSession::read_some(Task& self, std::span<std::byte> buffer, Wait wait) {
  if (buffer.empty()) {
    throw std::invalid_argument(
        "greenroom: read_some with room for nothing could not tell the end of the stream");
  }
  const auto size = attempt_until(
      {read_operation, self, socket_, Direction::read}, wait, [&] { return try_read(buffer); },
      [&](TaskWaiter& waiter) {
        if (transport_.arrival() == Arrival::nothing_yet) return waiter.wait(read_operation);
        // Records without data came, one after the other: the others' turn.
        return waiter.pause(read_operation, 0);
      });
  if (!size) throw_error(read_operation, std::errc::timed_out);
  return *size;
}

// The wait for all of it.
Wait TlsSession::begin_write(const char* operation, Wait wait) {
  socket_.prepare(Direction::write, wait);
  if (state_ == State::failed) throw_error(operation, failure_);
  if (wait.is_poll()) return wait;
  return to_wait(std::min(wait.to_deadline(), Wait(socket_.write_limit).to_deadline()));
}

void TlsSession::write_all(Task& self, std::string_view data, Wait wait) {
  const Wait until = begin_write(write_operation, wait);
  if (has_said_goodbye_) throw_error(write_operation, std::errc::broken_pipe);
  wait_until_flushed(self, write_operation, until);
  while (!data.empty()) {
    std::size_t size = std::min(data.size(), most_in_a_record);
    const Step step = attempt(
        write_operation, [&](SSL* ssl) { return SSL_write_ex(ssl, data.data(), size, &size); });
    if (step != Step::done) fail(write_operation, make_error_code(TlsError::unknown));
    data.remove_prefix(size);
    wait_until_flushed(self, write_operation, until);
    check_write_error(write_operation);
  }
}

void TlsSession::shutdown_write(Task& self, Wait wait) {
  const Wait until = begin_write(shutdown_operation, wait);
  if (!has_said_goodbye_) {
    attempt(shutdown_operation, [](SSL* ssl) { return SSL_shutdown(ssl) < 0 ? -1 : 1; });
    has_said_goodbye_ = true;
  }
  wait_until_flushed(self, shutdown_operation, until);
  check_write_error(shutdown_operation);
}

}  // namespace greenroom::detail
