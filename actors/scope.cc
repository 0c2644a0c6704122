#include "greenroom/actors/tasks.h"

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
