// Messages in the future, as erlang:send_after/3.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "greenroom/actors/verbs/verbs.h"
#include "greenroom/scheduler/greenlet/timeout.h"

namespace greenroom {

namespace detail {

// Makes the next message; null: that was the last one.
using TimedMessage = std::function<MessagePointer()>;
TimerRef start_message_timer(std::chrono::nanoseconds delay, std::chrono::nanoseconds interval,
                             Pid to, TimedMessage make);

}  // namespace detail

// Sends the message after the delay (zero: at the hub's next turn; negative:
// std::invalid_argument). Nothing is sent to an actor that has ended by then. The timer lives on
// this hub. As erlang:send_after/3.
template <class T>
TimerRef send_after(std::chrono::nanoseconds delay, Pid to, T message) {
  auto made = std::make_shared<detail::MessagePointer>(detail::message_of(std::move(message)));
  return detail::start_message_timer(delay, {}, to, [made] { return std::move(*made); });
}

// Sends a copy each interval, the first after one interval, until it is cancelled or the actor has
// ended. Counted from the start: a late one does not shift the next. The interval must be positive.
template <class T>
TimerRef send_interval(std::chrono::nanoseconds interval, Pid to, T message) {
  if (interval.count() <= 0)
    throw std::invalid_argument("send_interval: the interval must be positive");
  return detail::start_message_timer(
      interval, interval, to,
      [message = detail::Stored<T>(std::move(message))] { return detail::message_of(message); });
}

// What was left; nothing if it has fired (its message may not have been read yet), was cancelled,
// or never was. From another hub than the timer's own nothing is returned either, and it is
// cancelled soon. As erlang:cancel_timer/1.
std::optional<std::chrono::nanoseconds> cancel_timer(TimerRef ref);

}  // namespace greenroom
