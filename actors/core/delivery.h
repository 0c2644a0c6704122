// Delivery: how messages and signals come to an actor, wherever it lives. There is one route for
// all, so that everything from one actor to another arrives in the order in which it was sent.
#pragma once

#include <cstdint>
#include <utility>

#include "greenroom/actors/core/signals.h"
#include "greenroom/actors/values/pid.h"
#include "greenroom/mailbox/message.h"
#include "greenroom/scheduler/port/port.h"

namespace greenroom::detail {

// Sends the node to the hub that listens on the port `hub`, behind all that this thread has sent
// there. False if that hub has ended, or never was: the node is still the caller's. Any thread.
inline bool post(std::uint32_t hub, PostNode& node) noexcept {
  Port* const port = Port::at(hub);
  return port && port->push(node);
}

// What became of a message.
enum class Placed : std::uint8_t {
  yes,   // it is in the mailbox, or on its way to another hub
  dead,  // the actor is dead, or never was
  full,  // the limit of the mailbox has refused it
};

// Sends a message. On this hub the answer is exact; to another it is `yes` once it is on its way.
// Any thread.
Placed send_message(Pid to, OwnedMessage message) noexcept;

// Sends a signal, to a dead or unknown actor too (which may cause an answer). Any thread with or
// without a hub.
void send_signal(const Signal& signal);

}  // namespace greenroom::detail
