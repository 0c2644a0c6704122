#include "greenroom/actors/core/reply.h"

#include <memory>
#include <mutex>
#include <vector>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/delivery.h"
#include "greenroom/actors/core/foreign_cell.h"
#include "greenroom/scheduler/hub/interrupt.h"

namespace greenroom::detail {

namespace {

inline ReplyCell* cell_here(Hub& hub, const ReplyHandle& handle) noexcept {
  const Actor* caller = ActorHub::of(hub).pids.find(handle.caller);
  if (!caller || !caller->reply_cell || caller->reply_cell->serial != handle.serial) return nullptr;
  return caller->reply_cell;
}

// Its caller finds the answer when it runs; a second one finds no cell. While the cell is found its
// caller parks nowhere else, so if it is parked it waits for this.
inline void close_cell(ReplyCell& cell, ReplyState state) noexcept {
  cell.state = state;
  cell.caller->reply_cell = nullptr;
  Task& task = *cell.caller->task;
  if (task.state == TaskState::parked) task.hub->end_park(task, ParkResult::woken);
}

struct FailurePost final : PostNode {
  FailurePost(const ReplyHandle& h, const ExitReason& r) : handle(h), reason(r) {}
  ReplyHandle handle;
  ExitReason reason;
};

void fail_here(Hub& hub, const ReplyHandle& handle, const ExitReason& reason) {
  ReplyCell* cell = cell_here(hub, handle);
  if (!cell) return;
  cell->failure = new ExitReason(reason);
  close_cell(*cell, ReplyState::failed);
}

void deliver_reply(Hub& hub, PostNode& node) {
  auto& post = static_cast<ReplyPost&>(node);
  ReplyCell* cell = cell_here(hub, post.handle);
  const ReplyState state = post.finish(post, cell);
  if (cell) close_cell(*cell, state);
}

void answer_foreign(const ReplyHandle& handle, ReplyPostPointer value,
                    const ExitReason* failure) noexcept {
  const auto cell = std::unique_ptr<std::shared_ptr<ForeignCell>>(
      reinterpret_cast<std::shared_ptr<ForeignCell>*>(handle.serial));
  const std::lock_guard lock((*cell)->mutex);
  (*cell)->is_answered = true;
  (*cell)->value = std::move(value);
  if (failure) (*cell)->failure = std::make_unique<const ExitReason>(*failure);
  (*cell)->answered.notify_one();
}

const ExitReason no_reply("no_reply");

}  // namespace

bool has_caller_given_up(Hub& hub, const ReplyHandle& handle) noexcept {
  const ReplyCell* cell = cell_here(hub, handle);
  if (!cell) return true;
  const Task& caller = *cell->caller->task;
  // Its time is over, or it was interrupted: it only waits for its turn.
  if (caller.state != TaskState::parked) return true;
  const std::int64_t now = hub.now();
  caller.park->deadline = close_deadline(caller.park->deadline, now);
  return now >= caller.park->deadline;
}

ReplyState fail_by_current_exception(ReplyCell& cell) noexcept {
  cell.failure = new ExitReason(reason_of_current_exception());
  return ReplyState::failed;
}

ReplyCell* find_reply_cell(ReplyHandle& handle) noexcept {
  Hub* hub = Hub::current_if_any();
  if (!hub || handle.hub != hub->id()) return nullptr;
  ReplyCell* cell = cell_here(*hub, handle);
  if (!cell) [[unlikely]]
    handle.caller = 0;
  return cell;
}

void answer_cell(ReplyHandle& used, ReplyCell& cell) noexcept {
  used.caller = 0;
  close_cell(cell, ReplyState::value);
}

void send_done(ReplyHandle& used) { send_reply<void>(used, {}); }

void send_reply_elsewhere(ReplyHandle& used, ReplyPostPointer reply) noexcept {
  reply->handle = std::exchange(used, ReplyHandle());
  if (reply->handle.hub == ReplyHandle::foreign) {
    const ReplyHandle handle = reply->handle;
    return answer_foreign(handle, std::move(reply), nullptr);
  }
  reply->deliver = &deliver_reply;
  if (post(reply->handle.hub, *reply)) static_cast<void>(reply.release());
}

void fail_reply(ReplyHandle& used, const ExitReason& reason) noexcept {
  const ReplyHandle handle = std::exchange(used, ReplyHandle());
  if (!handle) return;
  Hub* hub = Hub::current_if_any();
  if (hub && handle.hub == hub->id()) return fail_here(*hub, handle, reason);
  if (handle.hub == ReplyHandle::foreign) return answer_foreign(handle, nullptr, &reason);
  auto failure = std::make_unique<FailurePost>(handle, reason);
  failure->deliver = [](Hub& there, PostNode& node) {
    const std::unique_ptr<FailurePost> owned(static_cast<FailurePost*>(&node));
    fail_here(there, owned->handle, owned->reason);
  };
  if (post(handle.hub, *failure)) static_cast<void>(failure.release());
}

namespace {

// An actor that goes on after all, as it has caught the exception, answers now.
void look_after_orphans(Hub& home, std::uint64_t number) {
  home.post([number] {
    Hub& hub = *Hub::current_if_any();
    Actor* actor = ActorHub::of(hub).pids.find(number);
    if (!actor || !actor->extras || actor->extras->orphaned_replies.empty()) return;
    const Task& task = *actor->task;
    if (task.state == TaskState::ready) return look_after_orphans(hub, number);
    if (actor->state > ActorState::running) return;  // a server that is in terminate()
    // Else it unwinds still.
    if (task.state != TaskState::parked || task.park->may_throw)
      fail_orphaned_replies(*actor, no_reply);
  });
}

}  // namespace

void drop_reply(ReplyHandle& used) noexcept {
  if (!used) return;
  Hub* hub = Hub::current_if_any();
  if (!hub) return fail_reply(used, no_reply);
  if (Actor* ending = EndingScope::current(*hub)) {
    ending->extra().orphaned_replies.push_back(std::exchange(used, ReplyHandle()));
    return;
  }
  // Unwound by the exception that ends its actor, whose reason is not known yet: the actor's end
  // answers it.
  if (std::uncaught_exceptions() > 0 && hub->current_task() && hub->current_task()->extension) {
    Actor& actor = actor_of(*hub->current_task());
    actor.extra().orphaned_replies.push_back(std::exchange(used, ReplyHandle()));
    look_after_orphans(*hub, actor.number);
    return;
  }
  fail_reply(used, no_reply);
}

}  // namespace greenroom::detail
