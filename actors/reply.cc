#include "greenroom/actors/reply.h"

#include <condition_variable>
#include <mutex>
#include <vector>

#include "greenroom/actors/foreign_cell.h"
#include "greenroom/scheduler/interrupt.h"

namespace greenroom::detail {

bool is_reply_awaited(Hub& hub, const ReplyHandle& handle) noexcept {
  if (!handle) return false;
  if (handle.hub != hub.id()) return true;
  const Actor* caller = ActorHub::of(hub).pids.find(handle.caller);
  return caller && caller->reply_cell && caller->reply_cell->serial == handle.serial;
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
