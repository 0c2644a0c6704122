// dns: from names to addresses. tcp::connect and tcp::Listener do it by themselves; this is for
// programs that want the addresses, or other name servers than the system's.
#pragma once

#include <string>
#include <vector>

#include "greenroom/io/resolver/dns_options.h"
#include "greenroom/io/socket/io_error.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::dns {

// For the whole process, from its next lookup on; lookups under way go on as they began. Any
// thread. Throws std::invalid_argument for options that cannot be, and std::logic_error if
// GREENROOM_RESOLVER is `thread`: the C library has no such options.
void configure(Options options);

// **Blocks.** The host's addresses, at least one, as numeric hosts in the order in which to try
// them. A numeric host is its own address. Throws IoError: timed_out if the wait was over first,
// host_unreachable if there is no such name, resource_unavailable_try_again if no name server
// answers, invalid_argument for a name with a NUL. Killed while parked, it leaves nothing behind.
// As socket.getaddrinfo.
std::vector<std::string> lookup(const std::string& host, Wait wait = Wait::forever());

}  // namespace greenroom::dns
