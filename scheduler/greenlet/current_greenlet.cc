// getcurrent(): a handle of whoever runs. A task that is no greenlet has a stand-in, which ends
// with it, and whose kills are its own.
#include <cassert>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <utility>

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/greenlet/greenlet_home.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/task/describe.h"

namespace greenroom {

namespace detail {

namespace {

struct StandIn final : GreenletTask {
  explicit StandIn(Task& task);
  Task& behind;  // gone once this one has ended
};

// It is in no queue and on no hub's list: who has handles keeps it.
constexpr TaskOps stand_in_ops{
    .run = [](Task&) { std::abort(); },
    .destroy = [](Task& task) noexcept { delete static_cast<StandIn*>(&task); },
    .abandoned = [](Task&) noexcept {},
    .describe =
        [](const Task& task) {
          const auto& stand_in = static_cast<const StandIn&>(task);
          return stand_in.has_ended() ? std::string("a task that has ended")
                                      : describe(stand_in.behind);
        },
    .stop = [](Task&) noexcept {},
    .type = nullptr,
};

StandIn::StandIn(Task& task) : GreenletTask(stand_in_ops), behind(task) {
  hub = task.hub;
  home = &task.hub->port();
}

// Holds a task's stand-in.
class StandInPart final : public TaskPart {
 public:
  explicit StandInPart(Task& task) : stand_in_(*new StandIn(task)) {}
  ~StandInPart() override { drop_reference(stand_in_); }
  GreenletTask& stand_in() { return stand_in_; }
  void end(Task&, End) noexcept override {
    stand_in_.ended_by = GreenletOutcome::value;
    end_greenlet(stand_in_);
  }

 private:
  StandIn& stand_in_;
};

}  // namespace

Task& task_behind(GreenletTask& task) noexcept {
  return task.ops == &stand_in_ops ? static_cast<StandIn&>(task).behind : task;
}

}  // namespace detail

green::Greenlet<> green::getcurrent() {
  detail::Task* self = Hub::current().current_task();
  if (!self) throw std::logic_error("greenroom: getcurrent() in hub work, where no greenlet runs");
  if (detail::is_greenlet(*self)) return Greenlet<>(static_cast<detail::GreenletTask&>(*self));
  std::unique_ptr<detail::TaskPart>& part = detail::interrupts_of(*self).stand_in;
  if (!part) part = std::make_unique<detail::StandInPart>(*self);
  return Greenlet<>(static_cast<detail::StandInPart&>(*part).stand_in());
}

}  // namespace greenroom
