// The resolver of a hub: c-ares, made at its first lookup and gone with it.
//
// It does what the files say that the C library goes by: nsswitch.conf (files, dns and their
// order), hosts, resolv.conf, RES_OPTIONS. A name's IPv4 and IPv6 addresses are asked for together
// and sorted as RFC 6724 has it, so what cannot be reached from here comes last.
// Rejected: getaddrinfo on the hub's thread (it stops the hub for seconds); one c-ares for all hubs
//   (each answer would cross over, under a lock); a c-ares for each lookup (it would read five
//   files each time).
#pragma once

#include <cstdint>
#include <vector>

#include "greenroom/io/socket/address.h"
#include "greenroom/io/socket/endpoint.h"

namespace greenroom {
class Hub;
}

namespace greenroom::detail {

// **Blocks.** As resolve(), for a name, on the current hub.
std::vector<Address> look_up_by_ares(Hub& hub, const tcp::Endpoint& endpoint,
                                     std::int64_t deadline);

}  // namespace greenroom::detail
