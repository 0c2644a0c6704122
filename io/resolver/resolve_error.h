// Why a lookup failed, as error codes that compare with std::errc whoever looked it up:
// host_unreachable if there is no such name, resource_unavailable_try_again if nobody answers,
// not_enough_memory.
#pragma once

#include <system_error>

#include "greenroom/io/socket/endpoint.h"

namespace greenroom::detail {

// A status of c-ares.
std::error_code ares_error(int status);
// A result of getaddrinfo and, for EAI_SYSTEM, errno.
std::error_code getaddrinfo_error(int result, int system_error);

// Throws IoError, which names the host, and the port if it is not 0.
[[noreturn]] void throw_resolve_error(std::error_code code, const tcp::Endpoint& endpoint,
                                      const char* operation = "dns.resolve");

}  // namespace greenroom::detail
