#include "greenroom/io/resolve.h"

#include <netdb.h>

#include <cerrno>
#include <memory>
#include <thread>

#include "greenroom/io/io_error.h"
#include "greenroom/scheduler/event.h"
#include "greenroom/scheduler/hub.h"

namespace greenroom::detail {

namespace {

constexpr const char* resolve_operation = "dns.resolve";

[[noreturn]] void throw_resolve_error(std::error_code code, const tcp::Endpoint& endpoint) {
  throw IoError(code, resolve_operation, tcp::to_string(endpoint));
}

class ResolverCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "resolver"; }
  std::string message(int error) const override { return ::gai_strerror(error); }
  std::error_condition default_error_condition(int error) const noexcept override {
    switch (error) {
      case EAI_NONAME:
      case EAI_NODATA:
        return std::errc::host_unreachable;
      case EAI_AGAIN:
        return std::errc::resource_unavailable_try_again;
      case EAI_MEMORY:
        return std::errc::not_enough_memory;
      default:
        return {error, *this};
    }
  }
};

std::error_code resolver_error(int error, int system_error) {
  static const ResolverCategory category;
  if (error == EAI_SYSTEM) return {system_error, std::system_category()};
  return {error, category};
}

// What the greenlet and the thread share; the greenlet may leave first.
struct Lookup {
  std::string host;
  std::uint16_t port = 0;
  std::vector<Address> found;
  std::error_code error;
  Hold hold;
  green::Event done;

  void run() {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
    addrinfo* list = nullptr;
    const int result = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(list, &::freeaddrinfo);
    if (result != 0) error = resolver_error(result, errno);
    for (const addrinfo* entry = list; entry; entry = entry->ai_next)
      found.push_back(Address::copy(entry->ai_addr, entry->ai_addrlen));
    if (result == 0 && found.empty()) error = resolver_error(EAI_NONAME, 0);
    done.set();
    hold.release();
  }
};

std::vector<Address> look_up(const tcp::Endpoint& endpoint, std::int64_t deadline) {
  if (endpoint.host.find('\0') != std::string::npos)
    throw_resolve_error(std::make_error_code(std::errc::invalid_argument), endpoint);
  if (Hub::current().environment()) {
    throw IoError(resolver_error(EAI_NONAME, 0),
                  "dns.resolve (a simulation knows numeric hosts and localhost only)",
                  tcp::to_string(endpoint));
  }
  auto lookup = std::make_shared<Lookup>();
  lookup->host = endpoint.host;
  lookup->port = endpoint.port;
  lookup->hold = Hub::current().hold();
  try {
    std::thread([lookup] { lookup->run(); }).detach();
  } catch (const std::system_error& error) {
    throw_resolve_error(error.code(), endpoint);
  }
  const Wait wait = deadline == no_deadline
                        ? Wait::forever()
                        : Wait(clock::time_point(std::chrono::nanoseconds(deadline)));
  if (!lookup->done.wait(wait))
    throw_resolve_error(std::make_error_code(std::errc::timed_out), endpoint);
  if (lookup->error) throw_resolve_error(lookup->error, endpoint);
  return lookup->found;
}

}  // namespace

std::vector<Address> resolve(const tcp::Endpoint& endpoint, std::int64_t deadline) {
  if (const auto numeric = Address::parse(endpoint.host, endpoint.port)) return {*numeric};
  if (endpoint.host.empty() || endpoint.host == "localhost")
    return {*Address::parse("127.0.0.1", endpoint.port), *Address::parse("::1", endpoint.port)};
  return look_up(endpoint, deadline);
}

Address resolve_to_listen(const tcp::Endpoint& endpoint) {
  if (endpoint.host.empty()) return *Address::parse("0.0.0.0", endpoint.port);
  return resolve(endpoint, no_deadline).front();
}

}  // namespace greenroom::detail
