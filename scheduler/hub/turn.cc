#include "greenroom/scheduler/hub/turn.h"

#include <cassert>
#include <string>
#include <utility>

#include "greenroom/scheduler/hub/hub.h"

namespace greenroom::detail {

constexpr TaskOps Turn::ops_ = {
    .run = &Turn::run_one,
    .destroy =
        [](Task& task) noexcept { static_cast<Turn&>(task).destroy_(static_cast<Turn&>(task)); },
    .abandoned = [](Task&) noexcept {},
    .describe = [](const Task&) { return std::string("hub work"); },
    .stop = [](Task&) noexcept {},
    .type = nullptr,
};

bool Turn::call(Hub& of) {
  if (is_called()) return true;
  assert(Hub::current_if_any() == &of);
  if (of.is_ending()) return false;
  hub = &of;
  add_reference(*this);
  of.activate(*this);
  return true;
}

bool Turn::resume_first(const Waker& waker) noexcept {
  assert(!goes_on_ && state == TaskState::running);
  if (!hub->wake_first(waker, *this)) return false;
  goes_on_ = true;
  return true;
}

void Turn::start_first(Task& task) noexcept {
  assert(!goes_on_ && state == TaskState::running);
  hub->start_first(task, *this);
  goes_on_ = true;
}

bool Turn::interrupt_first(Task& task) noexcept {
  assert(!goes_on_ && state == TaskState::running);
  if (!hub->interrupt_first(task, *this)) return false;
  goes_on_ = true;
  return true;
}

void Turn::run_one(Task& task) {
  Turn& turn = static_cast<Turn&>(task);
  turn.hub->become_hub_work();
  turn.run_(turn);
  if (std::exchange(turn.goes_on_, false)) return;
  turn.state = TaskState::idle;
  drop_reference(turn);
}

}  // namespace greenroom::detail
