#include "greenroom/actors/verbs/end_collector.h"

#include "greenroom/actors/core/signals.h"
#include "greenroom/mailbox/mailbox.h"
#include "greenroom/mailbox/receive.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"

namespace greenroom::detail {

std::size_t EndCollector::add(Pid pid, MonitorRef ref) {
  const std::size_t index = ends_.size();
  ends_.push_back({pid, ref});
  running_.insert(pid, static_cast<std::uint32_t>(index));
  return index;
}

const ExitReason& EndCollector::reason(std::size_t index) const {
  const End& end = ends_[index];
  return end.told ? *end.told : *end.reason;
}

void EndCollector::give_up(std::size_t index, const ExitReason& reason) {
  End& end = ends_[index];
  end.reason = reason;
  running_.erase(end.pid);
}

void EndCollector::clear() {
  ends_.clear();
  running_ = {};
}

bool EndCollector::wait_for(std::size_t index, Wait wait, Walk walk) {
  return wait_until(index, wait, walk);
}

bool EndCollector::wait_for_all(Wait wait, Walk walk) { return wait_until(all, wait, walk); }

bool EndCollector::wait_until(std::size_t index, Wait wait, Walk walk) {
  Mailbox& mailbox = enter_receive().mailbox;
  Hub& hub = *Hub::current_if_any();
  const Task& self = *hub.current_task();
  const std::int64_t deadline = wait.to_deadline();
  if (walk == Walk::from_the_front) mailbox.start_scan();
  for (bool is_late = wait.is_poll();; is_late = !park_in_receive(deadline)) {
    while (Message* message = mailbox.scanned()) {
      if (is_over(index)) return true;
      if (!is_awaited(*message)) {
        mailbox.skip();
        continue;
      }
      take(mailbox);
      // As a receive for each would have, and when nothing can be lost any more.
      if (!hub.charge() && !hub.extend_slice(mailbox.size())) {
        hub.yield();
        throw_pending(self);
      }
    }
    if (is_over(index)) return true;
    if (is_late) return false;
  }
}

// A signal: what an actor sends by itself is no news of anybody's end.
bool EndCollector::is_awaited(Message& message) {
  if (MessageAccess::kind(message) != MessageKind::signal) return false;
  if (message.is<Down>()) {
    const Down& down = message.as<Down>();
    const std::uint32_t* index = running_.find(down.pid);
    return index && ends_[*index].ref == down.ref;
  }
  if (takes_ == Takes::downs || !message.is<Exit>()) return false;
  const std::uint32_t* index = running_.find(message.as<Exit>().from);
  return index && !ends_[*index].told;
}

void EndCollector::take(Mailbox& mailbox) {
  const MessagePointer message = mailbox.take_scanned();
  if (message->is<Exit>()) {
    Exit& exit = message->as<Exit>();
    ends_[*running_.find(exit.from)].told = std::move(exit.reason);
    return;
  }
  Down& down = message->as<Down>();
  ends_[*running_.find(down.pid)].reason = std::move(down.reason);
  running_.erase(down.pid);
}

}  // namespace greenroom::detail
