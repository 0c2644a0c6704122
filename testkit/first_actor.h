// The body of a test as an actor, and what became of it.
#pragma once

#include <exception>
#include <functional>

#include "greenroom/actors/values/pid.h"

namespace greenroom::testkit::detail {

class FirstActor {
 public:
  explicit FirstActor(std::function<void()> body) : body_(std::move(body)) {}

  // Starts it on the current hub. Once. This object must outlive it. `on_end` is called on that hub
  // when it ends, even if it never ran; it must not block.
  Pid start(std::function<void()> on_end = [] {});
  // After its end: throws what the body threw. An exit signal that was no quiet one becomes a
  // std::runtime_error.
  void rethrow() const;

 private:
  std::function<void()> body_;
  std::exception_ptr failure_;
};

}  // namespace greenroom::testkit::detail
