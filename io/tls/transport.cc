#include "greenroom/io/tls/transport.h"

#include <new>

namespace greenroom::detail {

namespace {

// Of the exception that is being handled.
std::error_code current_error() noexcept {
  try {
    throw;
  } catch (const std::system_error& error) {
    return error.code();
  } catch (const std::bad_alloc&) {
    return std::make_error_code(std::errc::not_enough_memory);
  } catch (...) {  // a simulated socket outside its simulation
    return std::make_error_code(std::errc::io_error);
  }
}

TlsTransport& transport_of(BIO* bio) { return *static_cast<TlsTransport*>(BIO_get_data(bio)); }

}  // namespace

const BIO_METHOD* TlsTransport::method() {
  // Never changed, and never freed: OpenSSL may outlive what it is static in.
  static BIO_METHOD* const made = [] {
    BIO_METHOD* fresh = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "greenroom");
    if (!fresh) throw std::bad_alloc();
    BIO_meth_set_read(fresh, &TlsTransport::on_read);
    BIO_meth_set_write(fresh, &TlsTransport::on_write);
    BIO_meth_set_ctrl(fresh, &TlsTransport::on_control);
    return fresh;
  }();
  return made;
}

BIO* TlsTransport::make_bio() {
  BIO* bio = BIO_new(method());
  if (!bio) throw std::bad_alloc();
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  return bio;
}

int TlsTransport::on_read(BIO* bio, char* room, int size) noexcept {
  TlsTransport& self = transport_of(bio);
  // "Again", whatever has happened: what else OpenSSL would make of it ends writing, too.
  BIO_set_retry_read(bio);
  self.arrival_ = Arrival::nothing_yet;
  if (size <= 0) return -1;
  const std::span<char> space(room, static_cast<std::size_t>(size));
  try {
    const auto read = self.socket_.try_read(std::as_writable_bytes(space));
    if (!read) return -1;
    self.arrival_ = *read > 0 ? Arrival::bytes : Arrival::end;
    if (*read == 0) return -1;
    BIO_clear_retry_flags(bio);
    return static_cast<int>(*read);
  } catch (...) {
    self.read_error_ = current_error();
    self.arrival_ = Arrival::error;
    return -1;
  }
}

int TlsTransport::on_write(BIO* bio, const char* data, int size) noexcept {
  BIO_clear_retry_flags(bio);
  transport_of(bio).write(std::string_view(data, static_cast<std::size_t>(size)));
  return size;
}

long TlsTransport::on_control(BIO*, int command, long, void*) noexcept {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

void TlsTransport::write(std::string_view data) noexcept {
  if (write_error_) return;
  try {
    if (unsent_.empty()) data.remove_prefix(socket_.try_write(data));
    unsent_.append(data);
  } catch (...) {
    write_error_ = current_error();
  }
}

bool TlsTransport::flush() noexcept {
  if (write_error_ || unsent_.empty()) return true;
  try {
    unsent_.erase(0, socket_.try_write(unsent_));
  } catch (...) {
    write_error_ = current_error();
  }
  if (!write_error_ && !unsent_.empty()) return false;
  std::string().swap(unsent_);  // an idle connection keeps no buffer
  return true;
}

}  // namespace greenroom::detail
