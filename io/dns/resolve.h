// From a host to addresses.
//
// Numeric hosts, the empty one and "localhost" are known at once. Other names are c-ares' matter
// (ares_resolver.h), or the C library's (thread_resolver.h) if GREENROOM_RESOLVER says so. In a
// simulation there are no other names.
#pragma once

#include <cstdint>
#include <vector>

#include "greenroom/io/socket/address.h"
#include "greenroom/io/socket/endpoint.h"

namespace greenroom::detail {

// **Blocks.** for names. At least one address, in the order in which to try them. Throws IoError,
// as dns::lookup.
std::vector<Address> resolve(const tcp::Endpoint& endpoint, std::int64_t deadline);

// The same for a listener; an empty host means every IPv4 address.
Address resolve_to_listen(const tcp::Endpoint& endpoint);

}  // namespace greenroom::detail
