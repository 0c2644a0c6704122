#include "greenroom/testkit/simulation/environment.h"

#include <utility>

#include "greenroom/scheduler/task/describe.h"
#include "greenroom/testkit/simulation/simulated_network.h"

namespace greenroom::testkit::detail {

using greenroom::detail::TaskState;

SeededEnvironment::SeededEnvironment(const Simulation& simulation, std::uint64_t seed)
    : dice_(seed),
      has_many_hubs_(simulation.hubs > 1),
      order_(simulation.order),
      kill_at_(simulation.kill_at),
      moment_(simulation.kill_moment),
      cross_at_(simulation.cross_at),
      // Some races want two hubs that are stopped all the time, others one that is left alone.
      one_in_(has_many_hubs_ ? std::size_t{2} << dice_.below(4) : 0),
      network_(std::make_unique<SimulatedNetwork>(*this)) {}

SeededEnvironment::~SeededEnvironment() { forget_victim(); }

greenroom::detail::EnvironmentExtension* SeededEnvironment::extension(
    greenroom::detail::Layer layer) noexcept {
  return layer == greenroom::detail::Layer::io ? network_.get() : nullptr;
}

std::size_t SeededEnvironment::choose(std::size_t count) noexcept {
  // The victim has been woken: now it dies between its wake and its next instruction.
  if (victim_ && moment_ == KillMoment::resuming && victim_->hub == Hub::current_if_any() &&
      (victim_->state == TaskState::ready || victim_->state == TaskState::fresh)) {
    kill(*victim_);
    drop_reference(*std::exchange(victim_, nullptr));
  }
  const std::size_t chosen = order_ == Order::fifo ? 0 : dice_.below(count);
  note(count << 16 | chosen);
  return chosen;
}

std::size_t SeededEnvironment::deliver(std::size_t count) noexcept {
  const bool delivers_all = std::exchange(delivers_all_, false) || order_ == Order::fifo;
  const std::size_t delivered = delivers_all ? count : dice_.below(count + 1);
  note(count << 16 | delivered);
  return delivered;
}

void SeededEnvironment::suspending(Task& task) noexcept {
  if (!is_counting_ || &task == observer_) return;
  if (points_++ != kill_at_) return;
  add_reference(task);
  victim_ = &task;
  victim_text_ = greenroom::detail::describe(task);
}

bool SeededEnvironment::crosses(Hub& hub) noexcept {
  if (!has_many_hubs_ || !is_counting_) return false;
  const int here = crossings_++;
  if (cross_at_ < 0) {
    const std::size_t thrown = dice_.below(one_in_);
    note(one_in_ << 16 | thrown);
    if (thrown != 0) return false;
  } else {
    if (here != cross_at_) return false;
    crossed_hub_ = &hub;
    steps_of_others_ = std::uint64_t{1} << dice_.below(8);
  }
  ++crossed_;
  return true;
}

const Hub* SeededEnvironment::crossed_hub() noexcept {
  if (crossed_hub_ && steps_of_others_-- == 0) release_crossed();
  return crossed_hub_;
}

void SeededEnvironment::advance_to(std::int64_t time) {
  now_ = time;
  note(static_cast<std::uint64_t>(time));
}

std::size_t SeededEnvironment::pick(std::size_t count) {
  const std::size_t chosen = dice_.below(count);
  note(count << 16 | chosen);
  return chosen;
}

void SeededEnvironment::observe(const Task* observer, bool is_counting) {
  observer_ = observer;
  is_counting_ = is_counting;
  if (!is_counting) forget_victim();
  release_crossed();
}

Task* SeededEnvironment::take_parked_victim() {
  if (!victim_ || victim_->hub->is_in_the_middle()) return nullptr;
  // One that has something pending already is not suspended at all, and may have ended since.
  if (victim_->state == TaskState::finished || victim_->state == TaskState::abandoned) {
    forget_victim();
    return nullptr;
  }
  if (victim_->state == TaskState::parked && victim_text_.find(" in ") == std::string::npos)
    victim_text_ += std::string(" in ") + victim_->park->reason;
  return moment_ == KillMoment::parking ? std::exchange(victim_, nullptr) : nullptr;
}

void SeededEnvironment::note(std::uint64_t value) {
  trace_ = (trace_ ^ value) * 0x100000001b3U;
  trace_ ^= trace_ >> 29;
}

void SeededEnvironment::forget_victim() {
  Task* task = std::exchange(victim_, nullptr);
  if (!task) return;
  drop_reference(*task);
  victim_text_.clear();  // it got away
}

void kill(Task& task) {
  if (task.state != TaskState::finished && task.state != TaskState::abandoned) task.ops->stop(task);
}

}  // namespace greenroom::testkit::detail
