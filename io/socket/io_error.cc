#include "greenroom/io/socket/io_error.h"

#include <string>

namespace greenroom {

namespace {

std::string subject(std::string_view operation, std::string_view address) {
  std::string text(operation);
  if (!address.empty()) text.append(" ").append(address);
  return text;
}

}  // namespace

IoError::IoError(std::error_code code, std::string_view operation, std::string_view address)
    : std::system_error(code, subject(operation, address)) {}

}  // namespace greenroom
