#include "greenroom/io/dns.h"

#include <stdexcept>
#include <utility>

#include "greenroom/io/dns/resolve.h"
#include "greenroom/io/resolver/resolver_settings.h"
#include "greenroom/io/socket/address.h"
#include "greenroom/scheduler/hub/park.h"

namespace greenroom::dns {

namespace {

constexpr int largest_concurrency =
    10'000;  // a query has a number of 16 bits, a lookup two queries

void require(bool condition, const std::string& otherwise) {
  if (!condition) throw std::invalid_argument("greenroom: dns::configure: " + otherwise);
}

void check(const Options& options) {
  for (const tcp::Endpoint& server : options.servers) {
    require(detail::Address::parse(server.host, server.port) &&
                server.host.find('%') == std::string::npos,
            "server '" + server.host + "' must be a numeric host, without an interface");
  }
  require(
      options.timeout >= std::chrono::milliseconds(0) && options.timeout <= std::chrono::hours(1),
      "timeout must be from 0 (the system's) to an hour");
  require(options.attempts >= 0 && options.attempts <= 100,
          "attempts must be from 0 (the system's) to 100");
  require(options.concurrency >= 1 && options.concurrency <= largest_concurrency,
          "concurrency must be from 1 to " + std::to_string(largest_concurrency));
}

}  // namespace

void configure(Options options) {
  check(options);
  if (detail::resolver_kind() == detail::ResolverKind::thread) {
    throw std::logic_error(
        "greenroom: dns::configure: GREENROOM_RESOLVER is thread, which has no options; unset it");
  }
  detail::set_dns_options(std::move(options));
}

std::vector<std::string> lookup(const std::string& host, Wait wait) {
  detail::enter_blocking_call();
  std::vector<std::string> hosts;
  for (const detail::Address& address : detail::resolve({host, 0}, wait.to_deadline()))
    hosts.push_back(address.to_endpoint().host);
  return hosts;
}

}  // namespace greenroom::dns
