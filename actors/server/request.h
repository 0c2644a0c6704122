// Requests: the messages that call and cast send to a server.
//
// An ordinary message {type, value} that also carries how the server type handles it (a cached
// dispatch, checked by the server's tag) and who waits for the reply. Destroyed unanswered, it
// fails its caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "greenroom/actors/core/reply.h"
#include "greenroom/mailbox/message.h"

namespace greenroom::detail {

struct Request;

// What a request knows of its type, and how the server's type handles it: one word in the message.
struct RequestOps : TypeOps {
  const std::type_info* server;
  // Runs the handler, replies and ends the request, which is still there if the handler throws.
  void (*invoke)(void* server, Request& request);
  void (*destroy_value)(void* value) noexcept;  // null: nothing needs to be done for it
  std::uint32_t block_size;
  std::uint16_t value_offset;
};

struct Request : Message {
  explicit Request(const RequestOps& ops) : Message(ops, ops.value_offset, MessageKind::request) {}
  const RequestOps& ops() const {
    return static_cast<const RequestOps&>(MessageAccess::type(*this));
  }

  // The duty to answer goes to somebody else; `reply` still says who is to be answered.
  ReplyHandle take_reply() {
    MessageAccess::set_kind(*this, MessageKind::taken);
    return reply;
  }
  // Somebody waits for an answer, and it is this request that owes it.
  bool owes_reply() const { return reply && MessageAccess::kind(*this) == MessageKind::request; }

  void* place(std::size_t offset) { return reinterpret_cast<std::byte*>(this) + offset; }

  // Who waits, or did until it was answered; nobody for a cast, which has no deadline either. The
  // duty to answer goes with it unless the request is `taken`.
  ReplyHandle reply;
  std::int64_t deadline;  // for another hub; on the caller's the caller's park has it
};

// The value lies behind the request, in the same block.
template <class M>
inline constexpr std::size_t request_value_offset = (sizeof(Request) + alignof(M) - 1) /
                                                    alignof(M) * alignof(M);
template <class M>
inline constexpr std::size_t request_block_size = request_value_offset<M> + sizeof(M);

// A request whose value is still to be put into it.
Request& new_request(const RequestOps& ops);
// Gives the block of an answered request back, whose value is destroyed.
void end_request(Request& request, std::size_t block_size) noexcept;
// With its value; one that is not answered fails its caller.
void destroy_request(Message& message) noexcept;
// Fails its caller, if it is not answered.
void refuse_request(Message& message, const ExitReason& reason) noexcept;

// What S::handle(M) is.

// R of the one overload handle(M, ReplyTo<R>), deduced from the overload set.
template <class R>
struct ResultTag {
  using type = R;
};

// One try per way to take M, as an overload set is deduced against one parameter type at a time.
template <class S, class M, class P, class = void>
struct DeferredBy {
  static constexpr bool found = false;
};
template <class P, class C, class R>
ResultTag<R> deduce_deferred(void (C::*)(P, ReplyTo<R>));
template <class P, class C, class R>
ResultTag<R> deduce_deferred(void (C::*)(P, ReplyTo<R>) const);
template <class P, class C, class R>
ResultTag<R> deduce_deferred(void (C::*)(P, ReplyTo<R>&&));
template <class P, class C, class R>
ResultTag<R> deduce_deferred(void (C::*)(P, ReplyTo<R>&&) const);
template <class S, class M, class P>
struct DeferredBy<S, M, P, std::void_t<decltype(deduce_deferred<P>(&S::handle))>> {
  static constexpr bool found = true;
  using type = typename decltype(deduce_deferred<P>(&S::handle))::type;
};

template <class S, class M>
struct Deferred
    : std::conditional_t<
          DeferredBy<S, M, M>::found, DeferredBy<S, M, M>,
          std::conditional_t<DeferredBy<S, M, const M&>::found, DeferredBy<S, M, const M&>,
                             std::conditional_t<DeferredBy<S, M, M&&>::found, DeferredBy<S, M, M&&>,
                                                DeferredBy<S, M, M&>>>> {};

// How a server's type takes M, and what it answers.
enum class HandledBy : std::uint8_t { value, reference, deferred, nothing };
template <HandledBy how, class R = void>
struct Handling {
  static constexpr HandledBy by = how;
  using Result = R;
};

// Overloads to be resolved by decltype: each looks at the server's handlers once.
template <class S, class M>
auto handle_value(int)
    -> Handling<HandledBy::value,
                std::decay_t<decltype(std::declval<S&>().handle(std::declval<M>()))>>;
template <class S, class M>
Handling<HandledBy::nothing> handle_value(long);
template <class S, class M>
auto handle_reference(int)
    -> Handling<HandledBy::reference,
                std::decay_t<decltype(std::declval<S&>().handle(std::declval<M&>()))>>;
template <class S, class M>
Handling<HandledBy::nothing> handle_reference(long);

template <class S, class M>
constexpr auto find_handling() {
  using ByValue = decltype(handle_value<S, M>(0));
  if constexpr (ByValue::by != HandledBy::nothing) {
    return ByValue();
  } else {
    using ByReference = decltype(handle_reference<S, M>(0));
    if constexpr (ByReference::by != HandledBy::nothing) {
      return ByReference();
    } else {
      static_assert(Deferred<S, M>::found,
                    "call/cast: the server has no handle(M), nor a handle(M, ReplyTo<R>) that "
                    "returns void, for this message type");
      return Handling<HandledBy::deferred, typename Deferred<S, M>::type>();
    }
  }
}
template <class S, class M>
using HandlingOf = decltype(find_handling<S, M>());

// What a call of M to S returns.
template <class S, class M>
using ReplyOf = typename HandlingOf<S, M>::Result;

template <class M>
void destroy_value(void* value) noexcept {
  static_cast<M*>(value)->~M();
}

template <class S, class M>
void invoke_handler(void* state, Request& request) {
  using How = HandlingOf<S, M>;
  using R = typename How::Result;
  S& server = *static_cast<S*>(state);
  void* const value = request.place(request_value_offset<M>);
  M& message = *static_cast<M*>(value);
  if constexpr (How::by == HandledBy::deferred) {
    ReplyTo<R> reply(request.take_reply());
    if constexpr (requires { server.handle(std::move(message), std::move(reply)); }) {
      server.handle(std::move(message), std::move(reply));
    } else {
      server.handle(message, std::move(reply));
    }
  } else if constexpr (How::by == HandledBy::value) {
    if constexpr (std::is_void_v<R>) {
      server.handle(std::move(message));
      if (request.reply) send_done(request.reply);
    } else {
      send_reply<R>(request.reply, R(server.handle(std::move(message))));
    }
  } else {
    if constexpr (std::is_void_v<R>) {
      server.handle(message);
      if (request.reply) send_done(request.reply);
    } else {
      send_reply<R>(request.reply, R(server.handle(message)));
    }
  }
  destroy_value<M>(value);
  end_request(request, request_block_size<M>);
}

template <class S, class M>
inline constexpr RequestOps request_ops{
    {&typeid(M), type_name_hash<M>(), &destroy_request, &refuse_request},
    &typeid(S),
    &invoke_handler<S, M>,
    std::is_trivially_destructible_v<M> ? nullptr : &destroy_value<M>,
    request_block_size<M>,
    request_value_offset<M>};

// A request that nobody waits for yet.
template <class S, class M>
OwnedMessage make_request(M&& message) {
  static_assert(Sendable<M>,
                "call/cast: a request is a movable value, not a pointer or a string_view");
  static_assert(alignof(M) <= 16,
                "a request is aligned to 16 bytes at most: put a std::unique_ptr into it");
  Request& request = new_request(request_ops<S, M>);
  void* place = request.place(request_value_offset<M>);
  if constexpr (std::is_nothrow_move_constructible_v<M>) {
    new (place) M(std::forward<M>(message));
  } else {
    try {
      new (place) M(std::forward<M>(message));
    } catch (...) {
      end_request(request, request_block_size<M>);
      throw;
    }
  }
  return MessagePointer(&request);
}

}  // namespace greenroom::detail
