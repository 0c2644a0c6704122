// What lookups go by: GREENROOM_RESOLVER, the options of dns::configure, /etc/resolv.conf. The
// process's, any thread.
#pragma once

#include <cstdint>

#include "greenroom/io/resolver/dns_options.h"

namespace greenroom::detail {

enum class ResolverKind : std::uint8_t {
  ares,    // c-ares, on the hub
  thread,  // the C library, on threads
};

// As GREENROOM_RESOLVER says, which is read once. Throws as the next one.
ResolverKind resolver_kind();
// Of the variable's text, null if it is not set. Throws std::invalid_argument.
ResolverKind to_resolver_kind(const char* text);

// Changes whenever a lookup may have to go by other settings.
struct SettingsVersion {
  std::uint64_t configured = 0;  // how often
  // The state of /etc/resolv.conf; zeros if there is none.
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t modified = 0;
  friend bool operator==(const SettingsVersion&, const SettingsVersion&) = default;
};
SettingsVersion settings_version() noexcept;

void set_dns_options(dns::Options options);
// With the timeout and the attempts filled in.
dns::Options dns_options();

}  // namespace greenroom::detail
