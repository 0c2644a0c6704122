// Limits of mailboxes: how a message gets into the mailbox of an actor of this hub, and what
// becomes of it if that is full. For the hub's thread.
#pragma once

#include <utility>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/delivery.h"
#include "greenroom/mailbox/message.h"

namespace greenroom::detail {

// A user's message would be over the limit.
inline bool is_full(const Actor& actor) noexcept {
  return actor.extras && actor.extras->limit.messages > 0 &&
         actor.mailbox.user_size() >= actor.extras->limit.messages;
}

// Does with the message what the overflow policy of the actor, which is_full(), says.
Placed place_in_full_mailbox(Actor& actor, OwnedMessage owned) noexcept;

// Puts a message into the mailbox, if its limit has room for it, and wakes the reader.
[[gnu::always_inline]] inline Placed place_message(Actor& actor, MessagePointer message) noexcept {
  if (is_full(actor)) [[unlikely]]
    return place_in_full_mailbox(actor, std::move(message));
  enqueue(actor, std::move(message));
  return Placed::yes;
}

// Tells whoever waits for the reply to a message that it is not delivered, and why.
void refuse_message(Message& message, const ExitReason& reason) noexcept;

}  // namespace greenroom::detail
