#include "greenroom/testkit/first_actor.h"

#include <stdexcept>

#include "greenroom/actors/actors.h"

namespace greenroom::testkit::detail {

Pid FirstActor::start() {
  return spawn(SpawnOptions{.label = "the body of the test"}, [this] {
    try {
      body_();
    } catch (...) {
      failure_ = std::current_exception();
      throw;  // links and monitors see it
    }
  });
}

void FirstActor::rethrow() const {
  if (!failure_) return;
  try {
    std::rethrow_exception(failure_);
  } catch (const ActorExit& exit) {
    if (exit.reason().is_quiet()) return;
    throw std::runtime_error("an exit signal has ended the body of the test: " +
                             exit.reason().to_string());
  }
}

}  // namespace greenroom::testkit::detail
