#include "greenroom/mailbox/receive.h"

#include "greenroom/scheduler/interrupt.h"

namespace greenroom::detail {

void (*make_extension)(Task& self) = nullptr;

MailboxExtension& current_mailbox_extension(Task& self) {
  if (!self.extension) [[unlikely]]
    make_extension(self);
  return static_cast<MailboxExtension&>(*self.extension);
}

MailboxExtension& enter_receive() {
  Hub& hub = Hub::current();
  Task* self = hub.current_task();
  if (!self) [[unlikely]]
    return current_mailbox_extension(enter_blocking_call());  // throws
  throw_pending(*self);
  MailboxExtension& extension = current_mailbox_extension(*self);
  if (!hub.charge() && !hub.extend_slice(extension.mailbox.size())) [[unlikely]] {
    hub.yield();
    throw_pending(*self);
  }
  return extension;
}

bool park_in_receive(std::int64_t deadline) {
  const ParkResult result =
      Hub::current_if_any()->park("receive", deadline, {WaitsFor::Kind::mail, 0});
  if (result == ParkResult::interrupted) throw_pending();
  return result != ParkResult::expired;
}

}  // namespace greenroom::detail
