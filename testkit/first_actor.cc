#include "greenroom/testkit/first_actor.h"

#include <memory>
#include <stdexcept>
#include <utility>

#include "greenroom/actors/actors.h"

namespace greenroom::testkit::detail {

Pid FirstActor::start(std::function<void()> on_end) {
  // Goes with the actor's callable.
  const std::shared_ptr<void> end(nullptr, [on_end = std::move(on_end)](void*) { on_end(); });
  return spawn(SpawnOptions{.label = "the body of the test"}, [this, end] {
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
