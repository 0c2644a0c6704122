#include "greenroom/actors/tasks.h"

namespace greenroom {

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
