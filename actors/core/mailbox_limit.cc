#include "greenroom/actors/core/mailbox_limit.h"

#include "greenroom/actors/core/exit_rules.h"

namespace greenroom::detail {

namespace {

const ExitReason mailbox_full("mailbox_full");

Placed refuse_as_full(Message& message) noexcept {
  refuse_message(message, mailbox_full);
  return Placed::full;
}

// False: all that is in the mailbox are signals, which stay.
bool make_room(Actor& actor) {
  const MessagePointer oldest = actor.mailbox.remove_first_if(
      [](const Message& message) { return MessageAccess::kind(message) != MessageKind::signal; });
  if (oldest) refuse_message(*oldest, mailbox_full);
  return oldest != nullptr;
}

}  // namespace

void refuse_message(Message& message, const ExitReason& reason) noexcept {
  if (const auto refuse = MessageAccess::type(message).refuse) refuse(message, reason);
}

Placed place_in_full_mailbox(Actor& actor, OwnedMessage owned) noexcept {
  MessagePointer message = std::move(owned).take();
  ++actor.extras->dead_letters;
  switch (actor.extras->limit.overflow) {
    case Overflow::reject:
    case Overflow::drop_newest:
      return refuse_as_full(*message);
    case Overflow::drop_oldest:
      if (!make_room(actor)) return refuse_as_full(*message);
      break;
    case Overflow::exit:
      accept_exit(actor, ExitReason("mailbox_overflow"));
      return refuse_as_full(*message);
  }
  enqueue(actor, std::move(message));
  return Placed::yes;
}

}  // namespace greenroom::detail
