#include "greenroom/actors/core/delivery.h"

#include <cstddef>
#include <memory>
#include <utility>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/exit_rules.h"
#include "greenroom/actors/core/mailbox_limit.h"

namespace greenroom::detail {

// Messages.

namespace {

void deliver_message(Hub& hub, PostNode& node) {
  MessagePointer message(&static_cast<Message&>(node));
  const std::uint64_t number = MessageAccess::target(*message);
  PidTable& pids = ActorHub::of(hub).pids;
  if (Actor* actor = pids.find(number)) {
    place_message(*actor, std::move(message));
  } else if (pids.wait_for_binding(number, node)) {
    static_cast<void>(message.release());
  } else {
    refuse_message(*message, Reason::noproc);
  }
}

// To nobody that this hub knows: leased to a spawn on its way, dead, or elsewhere.
[[gnu::noinline]] Placed send_elsewhere(Hub* here, Pid to, OwnedMessage owned) noexcept {
  MessagePointer message = std::move(owned).take();
  if (!to || to.node != 0) return Placed::dead;
  MessageAccess::target(*message) = to.number;
  message->deliver = &deliver_message;
  const bool is_under_way = here && to.hub == here->id()
                                ? ActorHub::of(*here).pids.wait_for_binding(to.number, *message)
                                : post(to.hub, *message);
  if (!is_under_way) return Placed::dead;
  static_cast<void>(message.release());
  return Placed::yes;
}

}  // namespace

Placed send_message(Pid to, OwnedMessage message) noexcept {
  Hub* hub = Hub::current_if_any();
  if (hub) [[likely]] {
    if (Actor* actor = find_actor_here(*hub, to)) [[likely]]
      return place_message(*actor, std::move(message).take());
  }
  return send_elsewhere(hub, to, std::move(message));
}

// Signals.

namespace {

struct SignalPost final : PostNode {
  explicit SignalPost(const Signal& s) : signal(s) {}
  static void* operator new(std::size_t size) { return allocate_block(size); }
  static void operator delete(void* block, std::size_t size) { release_block(block, size); }
  Signal signal;
};

void deliver_signal(Hub& hub, PostNode& node) {
  std::unique_ptr<SignalPost> arrived(static_cast<SignalPost*>(&node));
  const Signal& signal = arrived->signal;
  PidTable& pids = ActorHub::of(hub).pids;
  if (Actor* actor = pids.find(signal.to.number)) {
    receive_signal(*actor, signal);
  } else if (pids.wait_for_binding(signal.to.number, node)) {
    static_cast<void>(arrived.release());
  } else {
    answer_for_the_dead(signal);
  }
}

}  // namespace

void send_signal(const Signal& signal) {
  if (signal.to.node != 0) return;
  Hub* hub = Hub::current_if_any();
  PidTable* pids = hub && signal.to.hub == hub->id() ? &ActorHub::of(*hub).pids : nullptr;
  if (Actor* actor = pids ? pids->find(signal.to.number) : nullptr) [[likely]]
    return receive_signal(*actor, signal);
  auto leaving = std::make_unique<SignalPost>(signal);
  leaving->deliver = &deliver_signal;
  // On this hub it is for the dead, or for an actor whose spawn has not arrived: then it waits.
  const bool is_under_way = pids ? pids->wait_for_binding(signal.to.number, *leaving)
                                 : signal.to && post(signal.to.hub, *leaving);
  if (!is_under_way) return answer_for_the_dead(signal);
  static_cast<void>(leaving.release());
}

}  // namespace greenroom::detail
