// dns: from names to addresses. tcp::connect and tcp::Listener do it by themselves; this is for
// programs that want the addresses, or other name servers than the system's.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "greenroom/io/endpoint.h"
#include "greenroom/io/io_error.h"
#include "greenroom/scheduler/time.h"

namespace greenroom::dns {

// How names are looked up. What is not given is as /etc/resolv.conf has it.
struct Options {
  // Numeric hosts, to be asked in this order; port 0 is DNS' own, 53.
  std::vector<tcp::Endpoint> servers = {};
  // How long a server has for its answer at the first attempt; twice as long at the next. 0: as the
  // system has it, or 5 s.
  std::chrono::milliseconds timeout = std::chrono::milliseconds(0);
  // How often each server is asked. 0: as the system has it, or twice.
  int attempts = 0;
  // How many names a hub asks for at a time, from 1 to 10000; the rest wait for their turn.
  int concurrency = 64;
};

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
