#include "greenroom/io/resolver/ares_resolver.h"

#include <ares.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <memory>
#include <utility>

#include "greenroom/io/resolver/ares_channel.h"
#include "greenroom/io/resolver/resolve_error.h"
#include "greenroom/scheduler/hub/hub.h"

namespace greenroom::detail {

namespace {

// Lookups share the channel that they began with; one that other settings have replaced goes with
// its last lookup.
struct AresResolver final : HubExtension {
  SettingsVersion version;
  std::shared_ptr<AresChannel> channel;
};

AresResolver& resolver_of(Hub& hub) {
  std::unique_ptr<HubExtension>& extension = hub.extension(Layer::io);
  if (!extension) extension = std::make_unique<AresResolver>();
  return static_cast<AresResolver&>(*extension);
}

std::shared_ptr<AresChannel> channel_of(Hub& hub) {
  AresResolver& resolver = resolver_of(hub);
  const SettingsVersion version = settings_version();
  if (!resolver.channel || resolver.version != version || !resolver.channel->is_usable()) {
    resolver.channel = std::make_shared<AresChannel>(hub, dns_options());
    resolver.version = version;  // as it was before the files were read
  }
  return resolver.channel;
}

bool has_route(const Address& address) {
  const int fd = ::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool is_connected = ::connect(fd, address.data(), address.size()) == 0;  // sends nothing
  ::close(fd);
  return is_connected;
}

// What AI_ADDRCONFIG is for: an address of a family that is not in use here would only hide why the
// others have failed. Rejected: that flag's own rule, by what interfaces have (c-ares ignores it,
// and it takes ::1 for unreachable).
void leave_out_unused_family(std::vector<Address>& addresses) {
  const auto is_v6 = [](const Address& address) { return address.family() == AF_INET6; };
  const auto v6 = std::find_if(addresses.begin(), addresses.end(), is_v6);
  const auto v4 = std::find_if_not(addresses.begin(), addresses.end(), is_v6);
  if (v6 == addresses.end() || v4 == addresses.end()) return;
  const bool uses_v6 = has_route(*v6);
  if (uses_v6 == has_route(*v4)) return;
  std::erase_if(addresses, [&](const Address& address) { return is_v6(address) != uses_v6; });
}

}  // namespace

std::vector<Address> look_up_by_ares(Hub& hub, const tcp::Endpoint& endpoint,
                                     std::int64_t deadline) {
  std::shared_ptr<AresChannel> channel;
  try {
    channel = channel_of(hub);
  } catch (const std::system_error& error) {
    throw_resolve_error(error.code(), endpoint);
  }
  const std::unique_ptr<AresQuery, LeaveAresQuery> query(
      new AresQuery(*channel, *hub.current_task()), LeaveAresQuery{channel.get()});
  if (!channel->permits().acquire(to_wait(deadline)))
    throw_resolve_error(std::make_error_code(std::errc::timed_out), endpoint);
  channel->ask(*query, endpoint.host, endpoint.port);
  // Answers are read between the questions of many: a socket has room for a few hundred.
  hub.housekeep_soon();
  if (!query->wait(deadline))
    throw_resolve_error(std::make_error_code(std::errc::timed_out), endpoint);
  if (query->error()) throw_resolve_error(query->error(), endpoint);
  std::vector<Address> addresses = query->found();
  if (addresses.empty()) throw_resolve_error(ares_error(ARES_ENODATA), endpoint);
  leave_out_unused_family(addresses);
  return addresses;
}

}  // namespace greenroom::detail
