// A socket that is being made: closed unless it is released.
#pragma once

#include <utility>

#include "greenroom/io/socket/address.h"

namespace greenroom::detail {

class SocketFd {
 public:
  explicit SocketFd(int fd) : fd_(fd) {}
  SocketFd(SocketFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  SocketFd& operator=(SocketFd&&) = delete;
  ~SocketFd();
  // A nonblocking TCP socket of the address' family. Throws IoError.
  static SocketFd open(const Address& address, const char* operation);

  int fd() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

}  // namespace greenroom::detail
