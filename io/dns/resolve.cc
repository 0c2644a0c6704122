#include "greenroom/io/dns/resolve.h"

#include <ares.h>

#include "greenroom/io/resolver/ares_resolver.h"
#include "greenroom/io/resolver/resolve_error.h"
#include "greenroom/io/resolver/resolver_settings.h"
#include "greenroom/io/resolver/thread_resolver.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::detail {

namespace {

constexpr std::size_t longest_name = 253;  // without the dot that may end it

void check_name(const tcp::Endpoint& endpoint) {
  const std::string& host = endpoint.host;
  if (host.find('\0') != std::string::npos)
    throw_resolve_error(std::make_error_code(std::errc::invalid_argument), endpoint);
  if (host.size() - (host.ends_with('.') ? 1 : 0) > longest_name)
    throw_resolve_error(ares_error(ARES_EBADNAME), endpoint);
}

std::vector<Address> look_up(const tcp::Endpoint& endpoint, std::int64_t deadline) {
  check_name(endpoint);
  Hub& hub = Hub::current();
  if (hub.environment()) {
    throw_resolve_error(ares_error(ARES_ENOTFOUND), endpoint,
                        "dns.resolve (a simulation knows numeric hosts and localhost only)");
  }
  return resolver_kind() == ResolverKind::thread ? look_up_on_thread(hub, endpoint, deadline)
                                                 : look_up_by_ares(hub, endpoint, deadline);
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
