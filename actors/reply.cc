#include "greenroom/actors/reply.h"

#include <condition_variable>
#include <mutex>
#include <vector>

#include "greenroom/actors/foreign_cell.h"
#include "greenroom/scheduler/interrupt.h"

namespace greenroom::detail {

ReplySlot::ReplySlot(ReplyCell& cell, Task& caller) : cell_(cell), hub_(ActorHub::of(*caller.hub)) {
  if (hub_.free_reply == 0) {
    hub_.replies.emplace_back();
    hub_.free_reply = static_cast<std::uint32_t>(hub_.replies.size());
  }
  const std::uint32_t slot = hub_.free_reply;
  ActorHub::ReplyEntry& entry = hub_.replies[slot - 1];
  hub_.free_reply = entry.next_free;
  entry.cell = &cell;
  cell.task = &caller;
  cell.epoch = caller.epoch;
  handle_ = {caller.hub->id(), slot, entry.serial};
}

ReplySlot::~ReplySlot() {
  ActorHub::ReplyEntry& entry = hub_.replies[handle_.slot - 1];
  ++entry.serial;
  entry.cell = nullptr;
  entry.next_free = hub_.free_reply;
  hub_.free_reply = handle_.slot;
}

ReplyCell* take_reply_cell(ActorHub& hub, const ReplyHandle& handle) noexcept {
  if (handle.slot > hub.replies.size()) return nullptr;
  ActorHub::ReplyEntry& entry = hub.replies[handle.slot - 1];
  if (entry.serial != handle.serial) return nullptr;
  return static_cast<ReplyCell*>(std::exchange(entry.cell, nullptr));
}

bool is_reply_awaited(Hub& hub, const ReplyHandle& handle) noexcept {
  if (!handle) return false;
  if (handle.hub != hub.id()) return true;
  const ActorHub& actors = ActorHub::of(hub);
  return handle.slot <= actors.replies.size() &&
         actors.replies[handle.slot - 1].serial == handle.serial;
}

void wake_caller(ReplyCell& cell) noexcept {
  Task& task = *cell.task;
  if (task.state == TaskState::parked) task.hub->wake(task, cell.epoch, ParkResult::woken);
}

namespace {

struct FailurePost final : PostNode {
  FailurePost(const ReplyHandle& h, const ExitReason& r) : handle(h), reason(r) {}
  ReplyHandle handle;
  ExitReason reason;
};

void fail_here(ActorHub& hub, const ReplyHandle& handle, const ExitReason& reason) {
  ReplyCell* cell = take_reply_cell(hub, handle);
  if (!cell) return;
  cell->failure = reason;
  cell->state = ReplyState::failed;
  wake_caller(*cell);
}

const ExitReason no_reply("no_reply");

}  // namespace

void fail_reply(ReplyHandle& used, const ExitReason& reason) noexcept {
  const ReplyHandle handle = std::exchange(used, ReplyHandle());
  if (!handle) return;
  Hub* hub = Hub::current_if_any();
  if (hub && handle.hub == hub->id()) return fail_here(ActorHub::of(*hub), handle, reason);
  if (handle.hub == ReplyHandle::foreign) return answer_foreign(handle, nullptr, &reason);
  auto post = std::make_unique<FailurePost>(handle, reason);
  post->deliver = [](Hub& there, PostNode& node) {
    const std::unique_ptr<FailurePost> owned(static_cast<FailurePost*>(&node));
    fail_here(ActorHub::of(there), owned->handle, owned->reason);
  };
  Port* port = Port::at(handle.hub);
  if (port && port->push(*post)) static_cast<void>(post.release());
}

void drop_reply(ReplyHandle& used) noexcept {
  if (!used) return;
  Hub* hub = Hub::current_if_any();
  if (!hub) return fail_reply(used, no_reply);
  ActorHub& actors = ActorHub::of(*hub);
  if (actors.ending) return fail_reply(used, *actors.ending);
  // Unwound by the exception that ends its actor, whose reason is not known yet: the actor's end
  // answers it.
  if (std::uncaught_exceptions() > 0 && hub->current_task() && hub->current_task()->extension) {
    Actor& actor = actor_of(*hub->current_task());
    actor.extra().orphaned_replies.push_back(std::exchange(used, ReplyHandle()));
    return;
  }
  fail_reply(used, no_reply);
}

void answer_foreign(const ReplyHandle& handle, std::unique_ptr<ForeignReply> value,
                    const ExitReason* failure) noexcept {
  const auto cell = std::unique_ptr<std::shared_ptr<ForeignCell>>(
      reinterpret_cast<std::shared_ptr<ForeignCell>*>(handle.serial));
  const std::lock_guard lock((*cell)->mutex);
  (*cell)->is_answered = true;
  (*cell)->value = std::move(value);
  if (failure) (*cell)->failure = *failure;
  (*cell)->answered.notify_one();
}

}  // namespace greenroom::detail
