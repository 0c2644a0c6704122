// dns::Options: what dns::configure is given.
#pragma once

#include <chrono>
#include <vector>

#include "greenroom/io/socket/endpoint.h"

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

}  // namespace greenroom::dns
