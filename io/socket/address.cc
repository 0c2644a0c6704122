#include "greenroom/io/socket/address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "greenroom/io/socket/io_error.h"

namespace greenroom {

namespace {

// Of "%eth0" or "%2"; 0 if there is no such interface.
std::uint32_t scope_of(const std::string& scope) {
  std::uint32_t number = 0;
  const char* end = scope.data() + scope.size();
  const auto [rest, error] = std::from_chars(scope.data(), end, number);
  if (error == std::errc() && rest == end) return number;
  return if_nametoindex(scope.c_str());
}

}  // namespace

std::string tcp::to_string(const Endpoint& endpoint) {
  const bool is_v6 = endpoint.host.find(':') != std::string::npos;
  return (is_v6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}

namespace detail {

std::optional<Address> Address::parse(const std::string& host, std::uint16_t port) {
  // inet_pton stops at the first NUL: "127.0.0.1\0.example" is no address.
  if (host.find('\0') != std::string::npos) return std::nullopt;
  Address address;
  if (inet_pton(AF_INET, host.c_str(), &address.address_.v4.sin_addr) == 1) {
    address.address_.v4.sin_family = AF_INET;
    address.address_.v4.sin_port = htons(port);
    return address;
  }
  const std::size_t percent = host.find('%');
  if (inet_pton(AF_INET6, host.substr(0, percent).c_str(), &address.address_.v6.sin6_addr) != 1)
    return std::nullopt;
  if (percent != std::string::npos) {
    address.address_.v6.sin6_scope_id = scope_of(host.substr(percent + 1));
    if (address.address_.v6.sin6_scope_id == 0) return std::nullopt;
  }
  address.address_.v6.sin6_family = AF_INET6;
  address.address_.v6.sin6_port = htons(port);
  return address;
}

Address Address::copy(const sockaddr* address, socklen_t size) {
  Address result;
  if (size < sizeof(sa_family_t)) return result;
  const bool is_known = (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) ||
                        (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6));
  if (is_known)
    std::memcpy(&result.address_, address, std::min<std::size_t>(size, sizeof result.address_));
  return result;
}

socklen_t Address::size() const {
  return family() == AF_INET6 ? sizeof address_.v6 : sizeof address_.v4;
}

tcp::Endpoint Address::to_endpoint() const {
  char text[INET6_ADDRSTRLEN] = {};
  switch (family()) {
    case AF_INET:
      inet_ntop(AF_INET, &address_.v4.sin_addr, text, sizeof text);
      return {text, ntohs(address_.v4.sin_port)};
    case AF_INET6: {
      inet_ntop(AF_INET6, &address_.v6.sin6_addr, text, sizeof text);
      const std::uint32_t scope = address_.v6.sin6_scope_id;
      return {scope == 0 ? text : text + ("%" + std::to_string(scope)),
              ntohs(address_.v6.sin6_port)};
    }
    default:
      return {};
  }
}

std::string to_string(const Address& address) {
  return address.family() == AF_UNSPEC ? std::string() : tcp::to_string(address.to_endpoint());
}

std::string printable(const std::string& name) {
  std::string text;
  for (const char byte : name) {
    if (byte == '\0')
      text += "\\0";
    else
      text += byte;
  }
  return text;
}

void throw_io_error(int error, const char* operation, const Address& address) {
  throw IoError({error, std::system_category()}, operation, to_string(address));
}

}  // namespace detail
}  // namespace greenroom
