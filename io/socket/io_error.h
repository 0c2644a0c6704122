// What I/O throws.
#pragma once

#include <stdexcept>
#include <string_view>
#include <system_error>

namespace greenroom {

// An operation on a descriptor failed. what() tells which, on what address, and why: "tcp.read
// 127.0.0.1:5000: Connection reset by peer". code() compares with std::errc: timed_out if its Wait
// was over, bad_file_descriptor if the object was closed, message_size if a limit was exceeded.
struct IoError : std::system_error {
  IoError(std::error_code code, std::string_view operation, std::string_view address);
};

// A second greenlet reads (or writes) where one is reading (or writing) already: misuse. what()
// names both.
struct ConcurrentUse : std::logic_error {
  using std::logic_error::logic_error;
};

}  // namespace greenroom
