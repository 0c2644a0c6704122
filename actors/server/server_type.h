// What a server's type declares besides its requests: handlers of other mail, terminate,
// trap_exits.
#pragma once

#include <type_traits>
#include <utility>

#include "greenroom/actors/core/signals.h"
#include "greenroom/actors/server/request.h"
#include "greenroom/io/stream/active_mode.h"

namespace greenroom::detail {

template <class S>
concept TrapsExits = requires {
  requires bool(S::trap_exits);
};
template <class S>
concept HasTerminate = requires(S& server, const ExitReason& reason) {
  server.terminate(reason);
};
// A handle() that takes exactly a P, whatever it returns; const and static ones too. Not found
// among overloads one of which is a template.
template <class P, class C, class R>
std::true_type takes(R (C::*)(P));
template <class P, class C, class R>
std::true_type takes(R (C::*)(P) const);
template <class P, class R>
std::true_type takes(R (*)(P));
template <class S, class P>
concept Takes = requires {
  takes<P>(&S::handle);
};
template <class S>
concept HandlesAny = Takes<S, Message&> || Takes<S, const Message&> ||
    requires(void (S::*f)(Message&)) {
  f = &S::handle;
};
// The server has an overload for exactly M, not one that M converts to.
template <class S, class M>
concept HandlesExactly = Takes<S, const M&> || Takes<S, M> || Takes<S, M&&> || Takes<S, M&> ||
    requires(void (S::*f)(const M&)) {
  f = &S::handle;
} || requires(void (S::*f)(M)) {
  f = &S::handle;
} || requires(void (S::*f)(M&&)) {
  f = &S::handle;
} || requires(void (S::*f)(M&)) {
  f = &S::handle;
};

template <class M, class S>
bool try_handle(S& server, Message& message) {
  if constexpr (HandlesExactly<S, M>) {
    if (message.is<M>()) {
      if constexpr (HandlingOf<S, M>::by == HandledBy::value) {
        server.handle(std::move(message.as<M>()));
      } else {
        server.handle(message.as<M>());
      }
      return true;
    }
  }
  return false;
}

template <class S>
bool handle_other(void* state, Message& message) {
  S& server = *static_cast<S*>(state);
  if (try_handle<Down>(server, message) || try_handle<Exit>(server, message) ||
      try_handle<tcp::Line>(server, message) || try_handle<tcp::Closed>(server, message)) {
    return true;
  }
  if constexpr (HandlesAny<S>) {
    server.handle(message);
    return true;
  } else {
    return false;
  }
}

// Of a type that has one.
template <class S>
concept HasTrapExits = requires {
  bool(S::trap_exits);
};
template <class S>
concept HasConstantTrapExits = requires {
  std::bool_constant<bool(S::trap_exits)>();
};
template <class S>
concept NamesTerminate = requires {
  &S::terminate;
};

// Refuses what would compile and never be looked at.
template <class S>
constexpr bool has_lost_trap_exits = HasTrapExits<S> && !HasConstantTrapExits<S>;
template <class S>
constexpr bool has_lost_terminate = NamesTerminate<S> && !HasTerminate<S>;
template <class S>
constexpr bool has_lost_catch_all = Takes<S, Message> || Takes<S, Message&&>;
template <class S>
constexpr void check_declarations() {
  static_assert(!has_lost_trap_exits<S>,
                "a server's trap_exits is a constant: static constexpr bool trap_exits = true;");
  static_assert(!has_lost_terminate<S>,
                "a server's terminate takes the reason: void terminate(const ExitReason& reason)");
  static_assert(
      !has_lost_catch_all<S>,
      "a server's handler of everything else takes a reference: handle(Message& message)");
}

}  // namespace greenroom::detail
