#include "greenroom/scheduler/hub/park.h"

#include <stdexcept>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/hub/on_stack.h"

namespace greenroom::detail {

ParkResult yield_now() noexcept { return Hub::current_if_any()->yield(); }

Task& enter_blocking_call() { return enter_blocking_call(Hub::current()); }

Task& enter_blocking_call_slowly(Hub& hub) {
  Task* self = hub.current_task();
  if (!self) {
    throw std::logic_error(
        "greenroom: a blocking call in hub work (a poller callback, a timer or a posted function); "
        "spawn a greenlet "
        "and block there");
  }
  refuse_on_stack(*self);
  throw_pending(*self);
  const bool has_budget = hub.charge();
  if (hub.take_overdue()) {
    hub.give_way();
  } else if (!has_budget) {
    hub.yield();
  } else {
    return *self;
  }
  throw_pending(*self);
  return *self;
}

namespace {

struct WakePost final : PostNode {
  Waker waker;
};

void drop_wake(WakePost& post) noexcept {
  drop_reference(post.waker.task());
  post.~WakePost();
  release_block(&post, sizeof(WakePost));
}

void deliver_wake(Hub& hub, PostNode& node) {
  auto& post = static_cast<WakePost&>(node);
  // The task's hub may have ended and another one have got its port.
  if (post.waker.task().hub == &hub) post.waker.wake();
  drop_wake(post);
}

}  // namespace

void Waker::wake_from_anywhere() const {
  if (task_->hub == Hub::current_if_any()) {
    wake();
  } else {
    wake_by_post();
  }
}

void Waker::wake_by_post() const {
  auto* post = new (allocate_block(sizeof(WakePost))) WakePost;
  post->deliver = &deliver_wake;
  post->waker = *this;
  add_reference(*task_);
  if (!port_->push(*post)) drop_wake(*post);
}

void WaitQueue::wake_all() {
  while (!empty()) {
    WaitNode& node = front();
    node.unlink();
    node.waiting.waker().wake_from_anywhere();
  }
}

}  // namespace greenroom::detail
