#include "greenroom/scheduler/greenlet/timeout.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "greenroom/scheduler/hub/hub.h"

namespace greenroom {

namespace {

// In a TimerRef: the rest is a timeout's id, and no message timer's.
constexpr std::uint64_t detached_bit = std::uint64_t{1} << 63;

}  // namespace

TimerRef Timeout::start_detached(std::chrono::nanoseconds duration) {
  auto scope = std::make_unique<detail::ExpiringScope>(duration);
  const TimerRef ref(scope->id() | detached_bit);
  auto& detached = detail::interrupts_of(*Hub::current().current_task()).detached;
  std::erase_if(detached, [](const auto& other) { return other->is_over(); });
  detached.push_back(std::move(scope));
  return ref;
}

bool detail::is_detached(TimerRef ref) noexcept { return (ref.id() & detached_bit) != 0; }

std::optional<std::chrono::nanoseconds> detail::cancel_detached(TimerRef ref) {
  Hub* hub = Hub::current_if_any();
  const Task* task = hub ? hub->current_task() : nullptr;
  if (!task || !task->interrupts) return std::nullopt;
  auto& detached = task->interrupts->detached;
  const auto found = std::find_if(detached.begin(), detached.end(), [&](const auto& scope) {
    return scope->id() == (ref.id() & ~detached_bit);
  });
  if (found == detached.end()) return std::nullopt;
  std::optional<std::chrono::nanoseconds> left;
  if ((*found)->is_armed())
    left = std::chrono::nanoseconds(std::max<std::int64_t>((*found)->deadline - hub->now(), 0));
  detached.erase(found);
  return left;
}

}  // namespace greenroom
