#include "greenroom/mailbox/receive.h"

#include <stdexcept>

#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/hub/on_stack.h"

namespace greenroom::detail {

void (*make_extension)(Task& self) = nullptr;

MailboxExtension& current_mailbox_extension(Task& self) {
  if (!self.extension) [[unlikely]] {
    if (!make_extension) throw std::logic_error("greenroom: receive() needs //actors to be linked");
    make_extension(self);
  }
  return static_cast<MailboxExtension&>(*self.extension);
}

namespace {

[[gnu::noinline]] MailboxExtension& enter_receive_slowly() {
  Hub& hub = Hub::current();
  Task* self = hub.current_task();
  if (!self) return current_mailbox_extension(enter_blocking_call());  // throws
  refuse_on_stack(*self);
  throw_pending(*self);
  MailboxExtension& extension = current_mailbox_extension(*self);
  const bool has_budget = hub.charge() || hub.extend_slice(extension.mailbox.size());
  if (hub.take_overdue()) {
    hub.give_way();
  } else if (!has_budget) {
    hub.yield();
  } else {
    return extension;
  }
  throw_pending(*self);
  return extension;
}

}  // namespace

// Calls nothing on its way through, so that it needs no frame.
MailboxExtension& enter_receive() {
  Hub* hub = Hub::current_if_any();
  Task* self = hub ? hub->current_task() : nullptr;
  if (!self || !self->extension || (self->attention & attention::refuses) != 0 || !hub->charge() ||
      hub->may_be_overdue()) [[unlikely]]
    return enter_receive_slowly();
  return static_cast<MailboxExtension&>(*self->extension);
}

// An exit acts while mail is unread, also when mail has woken the receiver before it came.
bool park_in_receive(std::int64_t deadline) {
  Hub& hub = *Hub::current_if_any();
  const Task& self = *hub.current_task();
  const ParkResult result = hub.park("receive", deadline, {WaitsFor::Kind::mail, 0});
  if (result == ParkResult::interrupted || (self.attention & attention::exiting) != 0) [[unlikely]]
    throw_pending();
  return result != ParkResult::expired;
}

}  // namespace greenroom::detail
