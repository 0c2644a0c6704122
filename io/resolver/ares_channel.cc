#include "greenroom/io/resolver/ares_channel.h"

#include <ares.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <new>

#include "greenroom/io/poll/task_waiter.h"
#include "greenroom/io/resolver/ares_socket_calls.h"
#include "greenroom/io/resolver/resolve_error.h"
#include "greenroom/scheduler/system/descriptor_probe.h"

namespace greenroom::detail {

namespace {

void check(int status) {
  if (status != ARES_SUCCESS) throw std::system_error(ares_error(status));
}

// c-ares makes do without the files that it cannot open: with a name server on this machine.
void check_descriptors() {
  if (const int error = lack_of_descriptors())
    throw std::system_error(error, std::system_category());
}

// Counts without an atomic, so one thread after the other.
void initialize_library() {
  static const int status = ::ares_library_init(ARES_LIB_INIT_ALL);
  check(status);
}

std::string comma_separated(const std::vector<tcp::Endpoint>& servers) {
  constexpr std::uint16_t dns_port = 53;
  std::string text;
  for (const auto& [host, port] : servers) {
    if (!text.empty()) text += ',';
    text += tcp::to_string({host, port == 0 ? dns_port : port});
  }
  return text;
}

}  // namespace

// A socket of c-ares', which opens and closes it.
class AresChannel::Socket final : public PolledFd {
 public:
  Socket(int fd, AresChannel& channel) : PolledFd(fd), channel_(channel) {}

  void watch(std::uint8_t interest) noexcept {
    if (channel_.is_usable()) channel_.home_->poller->set_interest(*this, interest);
  }

 private:
  void on_ready(std::uint8_t ready) noexcept override {
    const int socket = fd();
    channel_.process((ready & interest::read) != 0 ? socket : ARES_SOCKET_BAD,
                     (ready & interest::write) != 0 ? socket : ARES_SOCKET_BAD);
    // c-ares may have closed it: this object is gone.
  }
  void on_refused() noexcept override {}  // c-ares finds that no answer comes

  AresChannel& channel_;
};

AresChannel::AresChannel(Hub& hub, const dns::Options& options)
    : hub_(hub), home_(poller_of(hub).home()), permits_(options.concurrency) {
  initialize_library();
  check_descriptors();
  ares_options wanted{};
  wanted.timeout = static_cast<int>(options.timeout.count());
  wanted.tries = options.attempts;
  wanted.sock_state_cb = &AresChannel::on_socket_wanted;
  wanted.sock_state_cb_data = this;
  check(::ares_init_options(&channel_, &wanted,
                            ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB));
  try {
    check_descriptors();  // another thread may have taken the last one meanwhile
    if (!options.servers.empty()) {
      check(::ares_set_servers_ports_csv(channel_, comma_separated(options.servers).c_str()));
    }
  } catch (...) {
    ::ares_destroy(channel_);
    throw;
  }
  set_socket_calls(channel_, open_error_);
  ::ares_set_socket_callback(channel_, &AresChannel::on_socket_made, this);
  timer_.fire = &AresChannel::on_time;
  timer_.channel = this;
}

AresChannel::~AresChannel() {
  ::ares_destroy(channel_);  // answers every query, closes every socket
  hub_.timers().cancel(timer_);
}

// Queries.

void AresChannel::ask(AresQuery& query, const std::string& host, std::uint16_t port) noexcept {
  assert(query.state_ == AresQuery::State::made);
  query.state_ = AresQuery::State::asked;
  add_wanted();
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = ARES_AI_NUMERICSERV;
  char service[8] = {};
  std::to_chars(service, service + sizeof service - 1, port);
  // "0" is an error to it.
  ::ares_getaddrinfo(channel_, host.c_str(), port == 0 ? nullptr : service, &hints,
                     &AresChannel::on_answer, &query);
  update_timer();
}

std::error_code AresChannel::error_of(int status) const noexcept {
  if (status == ARES_SUCCESS) return {};
  if (status == ARES_ECONNREFUSED && open_error_ != 0) return {open_error_, std::system_category()};
  return ares_error(status);
}

void AresChannel::on_answer(void* query, int status, int, ares_addrinfo* list) {
  auto& answered = *static_cast<AresQuery*>(query);
  AresChannel& channel = answered.channel_;
  answered.list_ = list;
  answered.error_ = channel.error_of(status);
  if (channel.is_usable()) channel.permits_.release();
  if (answered.state_ == AresQuery::State::left) {
    delete &answered;
    return;
  }
  assert(answered.state_ == AresQuery::State::asked);
  answered.state_ = AresQuery::State::answered;
  channel.remove_wanted();
  // Without its poller the hub has ended, and runs nobody any more.
  if (channel.is_usable()) answered.waker_.wake();
}

void AresChannel::leave(AresQuery& query) noexcept {
  if (query.state_ != AresQuery::State::asked) {
    delete &query;
    return;
  }
  query.state_ = AresQuery::State::left;
  remove_wanted();
  if (wanted_ > 0) return;
  ::ares_cancel(channel_);
  update_timer();
}

void AresChannel::add_wanted() noexcept {
  if (wanted_++ == 0) home_->poller->add_waiter();
}

void AresChannel::remove_wanted() noexcept {
  if (--wanted_ == 0 && is_usable()) home_->poller->remove_waiter();
}

// Sockets and time.

int AresChannel::on_socket_made(int fd, int, void* channel) {
  auto& self = *static_cast<AresChannel*>(channel);
  try {
    self.sockets_.push_back(std::make_unique<Socket>(fd, self));
    return 0;
  } catch (const std::bad_alloc&) {
    return -1;  // it closes the socket
  }
}

void AresChannel::on_socket_wanted(void* channel, int fd, int readable, int writable) {
  auto& self = *static_cast<AresChannel*>(channel);
  const auto found = std::find_if(self.sockets_.begin(), self.sockets_.end(),
                                  [&](const auto& socket) { return socket->fd() == fd; });
  if (found == self.sockets_.end()) return;
  (*found)->watch(static_cast<std::uint8_t>((readable ? interest::read : interest::none) |
                                            (writable ? interest::write : interest::none)));
  if (!readable && !writable) self.sockets_.erase(found);  // it is about to be closed
}

void AresChannel::on_time(TimerNode& timer) noexcept {
  static_cast<Timer&>(timer).channel->process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

void AresChannel::process(int readable, int writable) noexcept {
  ::ares_process_fd(channel_, readable, writable);
  update_timer();
}

void AresChannel::update_timer() noexcept {
  hub_.timers().cancel(timer_);
  timeval left{};
  if (!::ares_timeout(channel_, nullptr, &left)) return;
  hub_.timers().arm(timer_,
                    hub_.now() + left.tv_sec * 1'000'000'000 + std::int64_t{left.tv_usec} * 1'000);
}

}  // namespace greenroom::detail
