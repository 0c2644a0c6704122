#include "greenroom/scheduler/park.h"

#include <stdexcept>

#include "greenroom/scheduler/hub.h"
#include "greenroom/scheduler/interrupt.h"

namespace greenroom::detail {

std::int64_t now_nanoseconds() noexcept {
  Hub* hub = Hub::current_if_any();
  return hub ? hub->now() : kernel_now();
}

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
  throw_pending(*self);
  if (!hub.charge()) {
    hub.yield();
    throw_pending(*self);
  }
  return *self;
}

bool wake(Task& task, std::uint64_t epoch, ParkResult result) noexcept {
  return task.hub->wake(task, epoch, result);
}

namespace {

struct WakePost final : PostNode {
  Task* task = nullptr;
  std::uint64_t epoch = 0;
};

void drop_wake(WakePost& post) noexcept {
  drop_reference(*post.task);
  post.~WakePost();
  release_block(&post, sizeof(WakePost));
}

void deliver_wake(Hub& hub, PostNode& node) {
  auto& post = static_cast<WakePost&>(node);
  // The task's hub may have ended and another one have got its port.
  if (post.task->hub == &hub) hub.wake(*post.task, post.epoch, ParkResult::woken);
  drop_wake(post);
}

}  // namespace

void wake_from_anywhere(Task& task, std::uint64_t epoch) {
  if (task.hub == Hub::current_if_any()) {
    wake(task, epoch);
    return;
  }
  wake_by_post(task.hub->port(), task, epoch);
}

void wake_by_post(Port& port, Task& task, std::uint64_t epoch) {
  auto* post = new (allocate_block(sizeof(WakePost))) WakePost;
  post->deliver = &deliver_wake;
  post->task = &task;
  post->epoch = epoch;
  add_reference(task);
  if (!port.push(*post)) drop_wake(*post);
}

void WaitQueue::wake_all() {
  while (!empty()) {
    WaitNode& node = front();
    node.unlink();
    wake_from_anywhere(*node.task, node.epoch);
  }
}

}  // namespace greenroom::detail

namespace greenroom {

void sleep(std::chrono::nanoseconds duration) {
  detail::enter_blocking_call();
  if (duration.count() <= 0) {
    detail::yield_now();
    detail::throw_pending();
    return;
  }
  const std::int64_t deadline = detail::add_saturated(detail::now_nanoseconds(), duration.count());
  // The timeout that interrupted it may have been cancelled by somebody else: then it sleeps on.
  while (detail::park("sleep", deadline, {detail::WaitsFor::Kind::timer, 0}) ==
         detail::ParkResult::interrupted) {
    detail::throw_pending();
  }
}

void yield() {
  detail::Task& self = detail::enter_blocking_call();
  self.hub->yield();
  if ((self.attention & detail::attention::throws) != 0) [[unlikely]]
    detail::throw_pending();
}

}  // namespace greenroom
