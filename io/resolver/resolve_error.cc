#include "greenroom/io/resolver/resolve_error.h"

#include <ares.h>
#include <netdb.h>

#include <string>

#include "greenroom/io/socket/address.h"
#include "greenroom/io/socket/io_error.h"

namespace greenroom::detail {

namespace {

class AresCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "c-ares"; }
  std::string message(int status) const override {
    // What it says if all of them refuse or fail, too.
    if (status == ARES_ECONNREFUSED) return "No name server answers the question";
    return ::ares_strerror(status);
  }
  std::error_condition default_error_condition(int status) const noexcept override {
    switch (status) {
      case ARES_ENOTFOUND:
      case ARES_ENODATA:
      case ARES_EBADNAME:
        return std::errc::host_unreachable;
      case ARES_ESERVFAIL:
      case ARES_EREFUSED:
      case ARES_ECONNREFUSED:
      case ARES_ETIMEOUT:
      case ARES_EBADRESP:
        return std::errc::resource_unavailable_try_again;
      case ARES_ENOMEM:
        return std::errc::not_enough_memory;
      default:
        return {status, *this};
    }
  }
};

class GetaddrinfoCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "getaddrinfo"; }
  std::string message(int result) const override { return ::gai_strerror(result); }
  std::error_condition default_error_condition(int result) const noexcept override {
    switch (result) {
      case EAI_NONAME:
      case EAI_NODATA:
        return std::errc::host_unreachable;
      case EAI_AGAIN:
        return std::errc::resource_unavailable_try_again;
      case EAI_MEMORY:
        return std::errc::not_enough_memory;
      default:
        return {result, *this};
    }
  }
};

}  // namespace

std::error_code ares_error(int status) {
  static const AresCategory category;
  return {status, category};
}

std::error_code getaddrinfo_error(int result, int system_error) {
  static const GetaddrinfoCategory category;
  if (result == EAI_SYSTEM) return {system_error, std::system_category()};
  return {result, category};
}

void throw_resolve_error(std::error_code code, const tcp::Endpoint& endpoint,
                         const char* operation) {
  throw IoError(code, operation,
                printable(endpoint.port == 0 ? endpoint.host : tcp::to_string(endpoint)));
}

}  // namespace greenroom::detail
