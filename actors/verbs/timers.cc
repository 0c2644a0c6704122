#include "greenroom/actors/verbs/timers.h"

#include <algorithm>
#include <stdexcept>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/crash_report.h"
#include "greenroom/actors/hubs/placement.h"
#include "greenroom/actors/verbs/timer_table.h"
#include "greenroom/scheduler/task/describe.h"

namespace greenroom {

namespace detail {

namespace {

constexpr unsigned hub_shift = 48;

MessageTimers& timers_of(Hub& hub) {
  ActorHub& actors = ActorHub::of(hub);
  if (!actors.timers) actors.timers = std::make_unique<MessageTimers>(hub);
  return static_cast<MessageTimers&>(*actors.timers);
}

// The target has ended, as far as this hub knows: then nothing is sent any more.
bool is_gone(Hub& hub, Pid to) {
  return !to || (to.hub == hub.id() && !ActorHub::of(hub).pids.find(to.number));
}

// An interval to another hub ends when that hub says that the actor has ended.
bool ask_whether_gone(const MessageTimer& timer) {
  return post_to_port(timer.to.hub, [id = timer.id, to = timer.to](Hub& there) {
    if (!ActorHub::of(there).pids.is_current(to.number)) cancel_timer(TimerRef(id));
  });
}

// It is off the list before its message is destroyed, which may look for it.
void end_timer(MessageTimers& timers, MessageTimers::ById::iterator where) {
  const std::unique_ptr<MessageTimer> ended = std::move(where->second);
  timers.by_id.erase(where);
}

// The latest there is never comes.
std::int64_t time_after(std::int64_t time, std::int64_t nanoseconds) {
  return std::min(add_saturated(time, nanoseconds), no_deadline - 1);
}

void fire(TimerNode& node) noexcept {
  auto& timer = static_cast<MessageTimer&>(node);
  MessageTimers& timers = *timer.owner;
  const bool is_for_nobody = is_gone(timers.hub, timer.to);
  bool is_last = timer.interval == 0 || is_for_nobody;
  if (!is_for_nobody) {
    timers.firing = &timer;
    try {
      send_message(timer.to, timer.make());
    } catch (...) {
      log_line("a timer for " + timer.to.to_string() +
               " ends: its message cannot be made: " + current_exception_text());
      is_last = true;
    }
    // Its message may have cancelled it while it was copied.
    if (!std::exchange(timers.firing, nullptr)) is_last = true;
  }
  if (!is_last && timer.to.hub != timers.hub.id()) is_last = !ask_whether_gone(timer);
  if (is_last) return end_timer(timers, timers.by_id.find(timer.id));
  timers.hub.timers().arm(timer, time_after(timer.deadline, timer.interval));
}

}  // namespace

MessageTimers::~MessageTimers() {
  for (const auto& [id, timer] : by_id) hub.timers().cancel(*timer);
}

TimerRef start_message_timer(std::chrono::nanoseconds delay, std::chrono::nanoseconds interval,
                             Pid to, TimedMessage make) {
  if (delay.count() < 0) throw std::invalid_argument("send_after: the delay is negative");
  Hub& hub = Hub::current();
  MessageTimers& timers = timers_of(hub);
  auto timer = std::make_unique<MessageTimer>();
  timer->fire = &fire;
  timer->owner = &timers;
  // Unique in the process: ports are used again.
  const std::uint64_t number = new_reference(ActorHub::of(hub)) % (std::uint64_t{1} << hub_shift);
  timer->id = (std::uint64_t{hub.id()} + 1) << hub_shift | number;
  timer->to = to;
  timer->interval = interval.count();
  timer->make = std::move(make);
  MessageTimer& armed = *timer;
  timers.by_id.emplace(armed.id, std::move(timer));
  hub.timers().arm(armed, time_after(hub.now(), delay.count()));
  return TimerRef(armed.id);
}

}  // namespace detail

std::optional<std::chrono::nanoseconds> cancel_timer(TimerRef ref) {
  if (ref.id() == 0) return std::nullopt;
  if (detail::is_detached(ref)) return detail::cancel_detached(ref);
  const auto port = static_cast<std::uint32_t>((ref.id() >> detail::hub_shift) - 1);
  Hub& here = Hub::current();
  if (port != here.id()) {
    detail::post_to_port(port, [ref](Hub&) { cancel_timer(ref); });
    return std::nullopt;
  }
  detail::MessageTimers& timers = detail::timers_of(here);
  const auto found = timers.by_id.find(ref.id());
  if (found == timers.by_id.end()) return std::nullopt;
  const auto left = std::max<std::int64_t>(found->second->deadline - here.now(), 0);
  const bool was_for_the_dead = detail::is_gone(here, found->second->to);
  if (found->second.get() == timers.firing) {
    timers.firing = nullptr;
    return std::nullopt;
  }
  here.timers().cancel(*found->second);
  detail::end_timer(timers, found);
  if (was_for_the_dead) return std::nullopt;  // it counts as cancelled with its target
  return std::chrono::nanoseconds(left);
}

}  // namespace greenroom
