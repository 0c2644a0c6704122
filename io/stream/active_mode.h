// What a connection in active mode sends to its actor. As inet's {active, true} and {packet, line}.
#pragma once

#include <string>
#include <system_error>

namespace greenroom::tcp {

// A line of input, without its end.
struct Line {
  std::string text;
};

// The last message of a connection: no error for the end of the stream.
struct Closed {
  std::error_code error;
};

}  // namespace greenroom::tcp
