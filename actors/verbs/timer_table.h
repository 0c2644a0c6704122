// A hub's message timers, by the number in their TimerRef.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <memory>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/verbs/timers.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/time/timer_wheel.h"

namespace greenroom::detail {

struct MessageTimers;

struct MessageTimer final : TimerNode {
  MessageTimers* owner = nullptr;
  std::uint64_t id = 0;
  Pid to;
  std::int64_t interval = 0;  // 0: once
  TimedMessage make;
};

struct MessageTimers final : HubPart {
  explicit MessageTimers(Hub& owner) : hub(owner) {}
  ~MessageTimers() override;
  // Null on a hub that never had one.
  static MessageTimers* of_if_any(const ActorHub& actors) {
    return static_cast<MessageTimers*>(actors.timers.get());
  }
  Hub& hub;
  using ById = boost::unordered_flat_map<std::uint64_t, std::unique_ptr<MessageTimer>>;
  ById by_id;
  const MessageTimer* firing = nullptr;  // its message is being made; null again: cancelled by that
};

}  // namespace greenroom::detail
