#include "greenroom/testkit/environment.h"

#include <utility>

#include "greenroom/scheduler/dump.h"
#include "greenroom/testkit/simulated_network.h"

namespace greenroom::testkit::detail {

using greenroom::detail::TaskState;

SeededEnvironment::SeededEnvironment(std::uint64_t seed, int kill_at, KillMoment moment)
    : dice_(seed),
      kill_at_(kill_at),
      moment_(moment),
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
  const std::size_t chosen = dice_.below(count);
  note(count << 16 | chosen);
  return chosen;
}

std::size_t SeededEnvironment::deliver(std::size_t count) noexcept {
  const std::size_t delivered =
      std::exchange(delivers_all_, false) ? count : dice_.below(count + 1);
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
}

Task* SeededEnvironment::take_parked_victim() {
  if (!victim_) return nullptr;
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
