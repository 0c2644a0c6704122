// Requests: the messages that call and cast send to a server.
//
// An ordinary message {type, value} that also carries how the server type handles it (a cached
// dispatch, checked by the server's tag) and who waits for the reply. Destroyed unanswered, it
// fails its caller.
#pragma once

#include <cstdint>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "greenroom/actors/reply.h"
#include "greenroom/mailbox/message.h"

namespace greenroom::detail {

struct Request;

// What a request knows of its type, and how the server's type handles it: one word in the message.
struct RequestOps : TypeOps {
  const std::type_info* server;
  // Runs the handler, replies and ends the request, which is still there if the handler throws.
  void (*invoke)(void* server, Request& request);
};

struct Request : Message {
  Request(const RequestOps& ops, std::size_t value_offset)
      : Message(ops, value_offset, MessageKind::request) {}
  ~Request() {
    if (reply) drop_reply(reply);
  }
  const RequestOps& ops() const {
    return static_cast<const RequestOps&>(MessageAccess::type(*this));
  }

  // The duty to answer goes to somebody else; who is to be answered is still known.
  ReplyHandle take_reply() {
    MessageAccess::set_kind(*this, MessageKind::taken);
    MessageAccess::target(*this) = reply.caller;
    ReplyHandle taken = reply;
    reply.caller = 0;
    return taken;
  }
  // Who waits, or did, for the request that is being handled; nobody for a cast.
  ReplyHandle asked_by() {
    ReplyHandle asker = reply;
    if (MessageAccess::kind(*this) == MessageKind::taken)
      asker.caller = MessageAccess::target(*this);
    return asker;
  }

  // Of a call; a cast has none, and no deadline.
  ReplyHandle reply;
  std::int64_t deadline;  // for another hub; on the caller's the caller's park has it
};

template <class M>
struct RequestOf final : Request {
  RequestOf(M&& m, const RequestOps& ops)
      : Request(ops, reinterpret_cast<std::byte*>(&value) -
                         reinterpret_cast<std::byte*>(static_cast<Message*>(this))),
        value(std::move(m)) {}

  static void destroy(Message& message) noexcept {
    auto* self = static_cast<RequestOf*>(&message);
    self->~RequestOf();
    release_block(self, sizeof(RequestOf));
  }

  M value;
};

// What S::handle(M) is.

template <class S, class M>
concept HandlesByValue = requires(S& server, M&& message) {
  server.handle(std::move(message));
};
template <class S, class M>
concept HandlesByReference = requires(S& server, M& message) {
  server.handle(message);
};

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

template <class S, class M>
constexpr auto reply_tag() {
  if constexpr (HandlesByValue<S, M>) {
    return ResultTag<std::decay_t<decltype(std::declval<S&>().handle(std::declval<M&&>()))>>();
  } else if constexpr (HandlesByReference<S, M>) {
    return ResultTag<std::decay_t<decltype(std::declval<S&>().handle(std::declval<M&>()))>>();
  } else {
    static_assert(Deferred<S, M>::found,
                  "call/cast: the server has no handle(M), nor a handle(M, ReplyTo<R>) that "
                  "returns void, for this message type");
    return ResultTag<typename Deferred<S, M>::type>();
  }
}

// What a call of M to S returns.
template <class S, class M>
using ReplyOf = typename decltype(reply_tag<S, M>())::type;

template <class S, class M>
void invoke_handler(void* state, Request& request) {
  S& server = *static_cast<S*>(state);
  M& message = static_cast<RequestOf<M>&>(request).value;
  using R = ReplyOf<S, M>;
  if constexpr (HandlesByValue<S, M>) {
    if constexpr (std::is_void_v<R>) {
      server.handle(std::move(message));
      if (request.reply) send_reply<void>(request.reply, {});
    } else {
      send_reply<R>(request.reply, R(server.handle(std::move(message))));
    }
  } else if constexpr (HandlesByReference<S, M>) {
    if constexpr (std::is_void_v<R>) {
      server.handle(message);
      if (request.reply) send_reply<void>(request.reply, {});
    } else {
      send_reply<R>(request.reply, R(server.handle(message)));
    }
  } else {
    ReplyTo<R> reply(request.take_reply());
    if constexpr (requires { server.handle(std::move(message), std::move(reply)); }) {
      server.handle(std::move(message), std::move(reply));
    } else {
      server.handle(message, std::move(reply));
    }
  }
  RequestOf<M>::destroy(request);
}

template <class S, class M>
inline constexpr RequestOps request_ops{
    {&typeid(M), type_name_hash<M>(), &RequestOf<M>::destroy}, &typeid(S), &invoke_handler<S, M>};

// A request that nobody waits for yet.
template <class S, class M>
MessagePointer make_request(M&& message) {
  static_assert(Sendable<M>,
                "call/cast: a request is a movable value, not a pointer or a string_view");
  static_assert(alignof(RequestOf<M>) <= 16,
                "a request is aligned to 16 bytes at most: put a std::unique_ptr into it");
  void* block = allocate_block(sizeof(RequestOf<M>));
  if constexpr (std::is_nothrow_move_constructible_v<M>) {
    return MessagePointer(new (block) RequestOf<M>(std::forward<M>(message), request_ops<S, M>));
  } else {
    try {
      return MessagePointer(new (block) RequestOf<M>(std::forward<M>(message), request_ops<S, M>));
    } catch (...) {
      release_block(block, sizeof(RequestOf<M>));
      throw;
    }
  }
}

}  // namespace greenroom::detail
