// CallError: a call to a server that got no reply.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "greenroom/actors/values/exit_reason.h"

namespace greenroom {

// A call failed: the server was not there (noproc), ended (its reason), did not answer in time
// (timeout), or would have waited for the caller (deadlock). Uncaught, its reason becomes the
// caller's exit reason.
struct CallError : std::exception {
  explicit CallError(ExitReason why)
      : reason_(std::move(why)),
        text_(std::make_shared<const std::string>("call failed: " + reason_.to_string())) {}
  const ExitReason& reason() const { return reason_; }
  const char* what() const noexcept override { return text_->c_str(); }

 private:
  ExitReason reason_;
  std::shared_ptr<const std::string> text_;
};

}  // namespace greenroom
