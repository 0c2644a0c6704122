// tcp::Endpoint: where a listener listens and a stream leads.
#pragma once

#include <cstdint>
#include <string>

namespace greenroom::tcp {

// A host - numeric, or a name - and a port. An empty host means every IPv4 address to a listener
// and this machine to connect(). IPv6 without brackets: "::1", "fe80::1%eth0".
struct Endpoint {
  std::string host = {};
  std::uint16_t port = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// "127.0.0.1:80", "[::1]:80".
std::string to_string(const Endpoint& endpoint);

}  // namespace greenroom::tcp
