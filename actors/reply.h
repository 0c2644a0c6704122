// Replies: how the answer to a call finds the greenlet that waits for it.
//
// A caller waits on a cell in its own frame; what travels is a handle {hub, caller, serial}. A
// handle whose caller has left finds nothing: a late reply is dropped. Every handle is answered
// once, by a value or, at the latest when it is destroyed, by a failure.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "greenroom/actors/actor.h"
#include "greenroom/actors/exit_reason.h"
#include "greenroom/scheduler/block_pool.h"

namespace greenroom {

template <class R>
class ReplyTo;

namespace detail {

template <class R>
using ReplyValue = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

enum class ReplyState : std::uint8_t { waiting, value, failed };

// Where a caller waits.
struct ReplyCell {
  Task* task = nullptr;
  std::uint64_t serial = 0;
  std::uint64_t epoch = 0;
  ReplyState state = ReplyState::waiting;
  std::optional<ExitReason> failure;
};

template <class R>
struct ReplyCellOf : ReplyCell {
  std::optional<ReplyValue<R>> value;
};

struct ReplyHandle {
  static constexpr std::uint32_t foreign =
      UINT32_MAX;  // a thread without a hub: serial is the address of its cell

  std::uint32_t hub = 0;
  std::uint64_t caller = 0;  // the number of the pid that waits; 0: nobody does (a cast)
  std::uint64_t serial = 0;

  explicit operator bool() const { return caller != 0; }
};

// The cell if its caller, on this hub, still waits; it is taken out of its slot.
inline ReplyCell* take_reply_cell(ActorHub& hub, const ReplyHandle& handle) noexcept {
  Actor* caller = hub.pids.find(handle.caller);
  if (!caller || !caller->reply_cell || caller->reply_cell->serial != handle.serial) return nullptr;
  return std::exchange(caller->reply_cell, nullptr);
}
// The caller still waits, as far as this hub can tell.
bool is_reply_awaited(Hub& hub, const ReplyHandle& handle) noexcept;
inline void wake_caller(ReplyCell& cell) noexcept {
  Task& task = *cell.task;
  if (task.state == TaskState::parked) task.hub->wake(task, cell.epoch, ParkResult::woken);
}

// A caller on a thread without a hub.
struct ForeignCell;
struct ForeignReply {
  virtual ~ForeignReply() = default;
};
void answer_foreign(const ReplyHandle& handle, std::unique_ptr<ForeignReply> value,
                    const ExitReason* failure) noexcept;

template <class R>
struct ForeignReplyOf final : ForeignReply {
  explicit ForeignReplyOf(ReplyValue<R> v) : value(std::move(v)) {}
  ReplyValue<R> value;
};

template <class R>
struct ReplyPost final : PostNode {
  ReplyPost(const ReplyHandle& h, ReplyValue<R> v) : handle(h), value(std::move(v)) {
    deliver = &arrive;
  }
  static void destroy(ReplyPost* post) noexcept {
    post->~ReplyPost();
    release_block(post, sizeof(ReplyPost));
  }
  static void arrive(Hub& hub, PostNode& node) {
    auto* post = static_cast<ReplyPost*>(&node);
    if (auto* cell =
            static_cast<ReplyCellOf<R>*>(take_reply_cell(ActorHub::of(hub), post->handle))) {
      cell->value.emplace(std::move(post->value));
      cell->state = ReplyState::value;
      wake_caller(*cell);
    }
    destroy(post);
  }
  ReplyHandle handle;
  ReplyValue<R> value;
};

// Answers; the handle is used up. Any thread.
template <class R>
void send_reply(ReplyHandle& used, ReplyValue<R> value) {
  const ReplyHandle handle = std::exchange(used, ReplyHandle());
  if (!handle) return;
  Hub* hub = Hub::current_if_any();
  if (hub && handle.hub == hub->id()) [[likely]] {
    if (auto* cell = static_cast<ReplyCellOf<R>*>(take_reply_cell(ActorHub::of(*hub), handle))) {
      cell->value.emplace(std::move(value));
      cell->state = ReplyState::value;
      wake_caller(*cell);
    }
    return;
  }
  if (handle.hub == ReplyHandle::foreign) {
    answer_foreign(handle, std::make_unique<ForeignReplyOf<R>>(std::move(value)), nullptr);
    return;
  }
  auto* post = new (allocate_block(sizeof(ReplyPost<R>))) ReplyPost<R>(handle, std::move(value));
  Port* port = Port::at(handle.hub);
  if (!port || !port->push(*post)) ReplyPost<R>::destroy(post);
}

// Fails the call; the handle is used up. Any thread.
void fail_reply(ReplyHandle& used, const ExitReason& reason) noexcept;
// The handle dies unanswered: fails with the reason of the actor that is ending, or "no_reply".
void drop_reply(ReplyHandle& used) noexcept;

}  // namespace detail

// The right, and the duty, to answer one call: the second parameter of a handle(M, ReplyTo<R>) that
// returns void. Movable, also to another actor or thread; reply from anywhere. One that is dropped
// fails its caller at once: with the reason of the actor that ended with it, else with "no_reply".
template <class R>
class ReplyTo {
 public:
  ReplyTo() = default;
  explicit ReplyTo(detail::ReplyHandle handle) : handle_(handle) {}
  ReplyTo(ReplyTo&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  ReplyTo& operator=(ReplyTo&& other) noexcept {
    if (this != &other) {
      detail::drop_reply(handle_);
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~ReplyTo() { detail::drop_reply(handle_); }

  // Answers; a second reply, or one to a caller that has left, does nothing.
  template <class T = R>
  requires(!std::is_void_v<R>) void reply(T value) {
    detail::send_reply<R>(handle_, R(std::move(value)));
  }
  void reply() requires std::is_void_v<R> { detail::send_reply<R>(handle_, {}); }
  // Fails the call with a reason.
  void fail(const ExitReason& reason) { detail::fail_reply(handle_, reason); }

 private:
  detail::ReplyHandle handle_;
};

}  // namespace greenroom
