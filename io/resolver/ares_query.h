// A name that c-ares is asked for, and the greenlet that wants to know.
//
// Made by its greenlet; from ask() to the answer c-ares has it as well, as it cannot be told to
// forget a single one. Of one hub, as its channel.
#pragma once

#include <cstdint>
#include <memory>
#include <system_error>
#include <vector>

#include "greenroom/io/socket/address.h"
#include "greenroom/scheduler/task/waker.h"

struct ares_addrinfo;

namespace greenroom::detail {

class AresChannel;

class AresQuery {
 public:
  enum class State : std::uint8_t {
    made,      // its greenlet's
    asked,     // its greenlet's, which waits, and c-ares'
    answered,  // its greenlet's
    left,      // c-ares' alone: gone with its answer
  };

  AresQuery(AresChannel& channel, Task& task) : channel_(channel), task_(task) {}
  AresQuery(const AresQuery&) = delete;
  AresQuery& operator=(const AresQuery&) = delete;

  // **Blocks.** until the answer is there; false if the deadline came first.
  bool wait(std::int64_t deadline);
  // Of an answered one: why nothing was found, and what was.
  std::error_code error() const { return error_; }
  std::vector<Address> found() const;

 private:
  friend class AresChannel;
  ~AresQuery();

  AresChannel& channel_;
  Task& task_;
  Waker waker_;  // of the park
  State state_ = State::made;
  std::error_code error_;
  ares_addrinfo* list_ = nullptr;  // owned
};

}  // namespace greenroom::detail
