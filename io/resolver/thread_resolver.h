// The other resolver: getaddrinfo, on threads. For names that only the C library's own modules
// know (nsswitch.conf: ldap, mdns and so on); it may take as long as it likes, and much stack.
//
// At most `thread_lookup_limit` at a time in the process, on the threads of offload(); more wait
// for their turn, in order. Rejected: a thread for each lookup (a name server that is down makes
// thousands of them); all the threads of offload() (then it stops everything else they do).
#pragma once

#include <cstdint>
#include <vector>

#include "greenroom/io/socket/address.h"
#include "greenroom/io/socket/endpoint.h"

namespace greenroom {
class Hub;
}

namespace greenroom::detail {

inline constexpr int thread_lookup_limit = 4;

// **Blocks.** As resolve(), for a name. A call of getaddrinfo cannot be interrupted: killed or
// timed out, the greenlet leaves, and the answer is dropped when it comes.
std::vector<Address> look_up_on_thread(Hub& hub, const tcp::Endpoint& endpoint,
                                       std::int64_t deadline);

}  // namespace greenroom::detail
