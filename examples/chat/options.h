// The command line of the chat's programs.
#pragma once

#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace chat {

// [--port P]; nothing, and a message on stderr, if it is not that.
inline std::optional<std::uint16_t> parse_port(int count, char** arguments, std::uint16_t preset) {
  if (count == 1) return preset;
  char* end = nullptr;
  const long port = count == 3 && std::string_view(arguments[1]) == "--port"
                        ? std::strtol(arguments[2], &end, 10)
                        : -1;
  if (port < 0 || port > 65535 || !end ||
      !std::isdigit(static_cast<unsigned char>(arguments[2][0])) || *end != '\0') {
    std::fprintf(stderr, "usage: %s [--port P]   P: 0 (any free port) to 65535\n", arguments[0]);
    return std::nullopt;
  }
  return static_cast<std::uint16_t>(port);
}

}  // namespace chat
