// From a host to addresses.
//
// Numeric hosts, the empty one and "localhost" are known at once. Other names go to the system's
// resolver on a thread made for the lookup: it may take as long as it likes, and much stack.
// In a simulation there are no other names.
// Rejected: getaddrinfo on the hub's thread (it stops the hub for seconds).
#pragma once

#include <cstdint>
#include <vector>

#include "greenroom/io/address.h"
#include "greenroom/io/endpoint.h"

namespace greenroom::detail {

// **Blocks.** for names. At least one address, in the order in which to try them. Throws IoError:
// timed_out, or host_unreachable if there is no such name.
std::vector<Address> resolve(const tcp::Endpoint& endpoint, std::int64_t deadline);

// The same for a listener; an empty host means every IPv4 address.
Address resolve_to_listen(const tcp::Endpoint& endpoint);

}  // namespace greenroom::detail
