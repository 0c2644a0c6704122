// Replies: how the answer to a call finds the greenlet that waits for it.
//
// A caller waits on a cell in its own frame; what travels is a handle {hub, caller, serial}. A
// handle whose caller has left finds nothing: a late reply is dropped. Every handle is answered
// once, by a value or, at the latest when it is destroyed, by a failure.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <variant>

#include "greenroom/actors/core/actor.h"
#include "greenroom/actors/values/exit_reason.h"
#include "greenroom/scheduler/memory/block_pool.h"

namespace greenroom {

template <class R>
class ReplyTo;

namespace detail {

template <class R>
using ReplyValue = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

enum class ReplyState : std::uint8_t { waiting, value, failed };

// Where a caller waits.
struct ReplyCell {
  Actor* caller;  // this and the serial are set by the call
  std::uint64_t serial;
  ReplyState state = ReplyState::waiting;
  const ExitReason* failure = nullptr;  // owned, until the call takes it: see take_failure
};

template <class R>
struct ReplyCellOf : ReplyCell {
  using Value = ReplyValue<R>;

  ReplyCellOf() {}
  ~ReplyCellOf() {
    if constexpr (!std::is_trivially_destructible_v<Value>) {
      if (state == ReplyState::value) value.~Value();
    }
  }
  ReplyCellOf(const ReplyCellOf&) = delete;
  ReplyCellOf& operator=(const ReplyCellOf&) = delete;

  void set_value(Value&& v) { new (&value) Value(std::move(v)); }

  union {
    Value value;  // in the state `value`
  };
};

struct ReplyHandle {
  static constexpr std::uint32_t foreign =
      UINT32_MAX;  // a thread without a hub: serial is the address of its cell

  std::uint64_t caller = 0;  // the number of the pid that waits; 0: nobody does (a cast)
  std::uint64_t serial;      // this and the hub are set only with a caller
  std::uint32_t hub;

  explicit operator bool() const { return caller != 0; }
};

// Of a caller of this hub: it waits no longer, or is not to; an open deadline counts from now.
bool has_caller_given_up(Hub& hub, const ReplyHandle& handle) noexcept;

// A value on its way to a caller on another hub, or on a thread without one.
struct ReplyPost : PostNode {
  ReplyHandle handle;
  // Moves the value into the cell, if there still is one, and ends the post. What the cell holds
  // then: the value, or its failure if moving it threw.
  ReplyState (*finish)(ReplyPost& post, ReplyCell* cell) noexcept = nullptr;
};

// Owns a value that is on its way. One that is dropped reaches no cell.
struct ReplyPostDeleter {
  void operator()(ReplyPost* post) const noexcept { post->finish(*post, nullptr); }
};
using ReplyPostPointer = std::unique_ptr<ReplyPost, ReplyPostDeleter>;

// In a catch block: the call fails with what was thrown.
ReplyState fail_by_current_exception(ReplyCell& cell) noexcept;

template <class R>
struct ReplyPostOf final : ReplyPost {
  using Value = ReplyValue<R>;

  explicit ReplyPostOf(Value&& v) : value(std::move(v)) { finish = &finish_this; }
  static ReplyPostPointer make(Value&& v) {
    void* block = allocate_block(sizeof(ReplyPostOf));
    if constexpr (std::is_nothrow_move_constructible_v<Value>) {
      return ReplyPostPointer(new (block) ReplyPostOf(std::move(v)));
    } else {
      try {
        return ReplyPostPointer(new (block) ReplyPostOf(std::move(v)));
      } catch (...) {
        release_block(block, sizeof(ReplyPostOf));
        throw;
      }
    }
  }
  static ReplyState finish_this(ReplyPost& post, ReplyCell* cell) noexcept {
    auto& self = static_cast<ReplyPostOf&>(post);
    const ReplyState state = cell ? self.move_into(*cell) : ReplyState::value;
    self.~ReplyPostOf();
    release_block(&self, sizeof(ReplyPostOf));
    return state;
  }
  ReplyState move_into(ReplyCell& cell) noexcept {
    auto& target = static_cast<ReplyCellOf<R>&>(cell);
    if constexpr (std::is_nothrow_move_constructible_v<Value>) {
      target.set_value(std::move(value));
    } else {
      try {
        target.set_value(std::move(value));
      } catch (...) {
        return fail_by_current_exception(cell);
      }
    }
    return ReplyState::value;
  }
  Value value;
};

// The cell that waits for it on this hub. Null if there is none: then a handle of this hub is used
// up.
ReplyCell* find_reply_cell(ReplyHandle& handle) noexcept;
// That cell has its value: wakes the caller; the handle is used up.
void answer_cell(ReplyHandle& used, ReplyCell& cell) noexcept;
// To where its caller is; the handle is used up.
void send_reply_elsewhere(ReplyHandle& used, ReplyPostPointer reply) noexcept;

// Answers; the handle is used up, unless moving the value throws here. Any thread.
template <class R>
void send_reply(ReplyHandle& used, ReplyValue<R>&& value) {
  if (!used) return;
  if (ReplyCell* cell = find_reply_cell(used)) [[likely]] {
    static_cast<ReplyCellOf<R>*>(cell)->set_value(std::move(value));
    answer_cell(used, *cell);
  } else if (used) {
    send_reply_elsewhere(used, ReplyPostOf<R>::make(std::move(value)));
  }
}

// Answers a call that returns nothing; the handle is used up. Any thread.
void send_done(ReplyHandle& used);

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

  // Answers; a second reply, or one to a caller that has left, does nothing. What moving the value
  // throws here is thrown, and nothing was answered; what it throws on the caller's hub the call
  // fails with.
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
