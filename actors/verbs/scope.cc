#include <limits>

#include "greenroom/actors/verbs/tasks.h"
#include "greenroom/scheduler/fiber/stack.h"

namespace greenroom {

// After the kills it goes on where it stopped: nothing of the user's runs here meanwhile, so nobody
// has received.
void detail::collect_ends(EndCollector& ends, Wait wait) {
  if (ends.wait_for_all(wait, EndCollector::Walk::from_the_front)) return;
  const Uncancellable they_end;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (ends.has_ended(i)) continue;
    enter_blocking_call();
    exit(ends.pid(i), Reason::kill);
  }
  ends.wait_for_all(Wait::forever(), EndCollector::Walk::go_on);
}

std::shared_ptr<green::Semaphore> detail::make_turns(const TasksOptions& options) {
  check_stack_size("TasksOptions::stack_size", options.stack_size);
  constexpr int most = std::numeric_limits<int>::max();
  if (options.at_once == 0 || options.at_once >= most) return nullptr;
  return std::make_shared<green::Semaphore>(static_cast<int>(options.at_once));
}

void Scope::join() {
  try {
    green::joinall(children_);
  } catch (...) {
    const Uncancellable they_end;
    green::killall(children_);
    throw;
  }
  children_.clear();
}

Scope::~Scope() {
  if (children_.empty()) return;
  const Uncancellable destructors_do_not_throw;
  if (std::uncaught_exceptions() > exceptions_) green::killall(children_);
  green::joinall(children_);
}

}  // namespace greenroom
