// A socket address, IPv4 or IPv6, as the kernel has it. A value.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>
#include <string>

#include "greenroom/io/socket/endpoint.h"

namespace greenroom::detail {

class Address {
 public:
  // 0.0.0.0:0 of no family.
  Address() : address_{} {}
  // Of a numeric host; nothing if it is a name. Uses no resolver.
  static std::optional<Address> parse(const std::string& host, std::uint16_t port);
  // An address of another family becomes one of none.
  static Address copy(const sockaddr* address, socklen_t size);

  int family() const { return address_.any.sa_family; }
  const sockaddr* data() const { return &address_.any; }
  socklen_t size() const;
  tcp::Endpoint to_endpoint() const;
  friend bool operator==(const Address& a, const Address& b) {
    return a.to_endpoint() == b.to_endpoint();
  }

 private:
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } address_;
};

// "127.0.0.1:80", or "" for an address of no family.
std::string to_string(const Address& address);

// A name as messages have it: what() ends at a NUL, so one is written as \0.
std::string printable(const std::string& name);

// Throws IoError.
[[noreturn]] void throw_io_error(int error, const char* operation, const Address& address);

}  // namespace greenroom::detail
