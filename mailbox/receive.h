// receive: take the first message that a clause matches, as Erlang's receive.
//
// A clause is a callable whose parameter type is the pattern: by value the message is moved out of
// the mailbox, by reference it is borrowed until the body ends; `Message&` matches everything.
// when(guard, body) adds a condition. after(wait, body) comes last. Mailbox order first, clause
// order second; what does not match stays where it is. So does a message whose move throws:
// receive() throws that.
//
// In a server's handler receive sees no calls and no casts, not even by `Message&`: those wait for
// their own handlers.
//
// More generally a clause may be a source that is no mail (a buffered line of a socket): see
// ExternalClause.
#pragma once

#include <concepts>
#include <tuple>
#include <type_traits>
#include <utility>

#include "greenroom/mailbox/extraction.h"
#include "greenroom/mailbox/mailbox.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/park.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom {

namespace detail {

// The one parameter of a callable; nothing if there is not one of a definite type.
template <class F, class = void>
struct Parameter {};
template <class F>
struct Parameter<F, std::void_t<decltype(&F::operator())>> : Parameter<decltype(&F::operator())> {};
template <class R, class A>
struct Parameter<R (*)(A)> {
  using type = A;
};
template <class R, class A>
struct Parameter<R (*)(A) noexcept> {
  using type = A;
};
#define GREENROOM_PARAMETER(QUALIFIERS)      \
  template <class R, class C, class A>       \
  struct Parameter<R (C::*)(A) QUALIFIERS> { \
    using type = A;                          \
  };
GREENROOM_PARAMETER()
GREENROOM_PARAMETER(const)
GREENROOM_PARAMETER(noexcept)
GREENROOM_PARAMETER(const noexcept)
#undef GREENROOM_PARAMETER

template <class F>
using ParameterOf = typename Parameter<std::decay_t<F>>::type;
template <class F>
using PatternOf = std::remove_cvref_t<ParameterOf<F>>;

struct NoGuard {};

// A body behind an optional guard.
template <class Guard, class Body>
struct WhenClause {
  Guard guard;
  Body body;
};

template <class Body>
struct AfterClause {
  Wait wait;
  Body body;
};

template <class T>
inline constexpr bool is_after = false;
template <class Body>
inline constexpr bool is_after<AfterClause<Body>> = true;
template <class T>
inline constexpr bool is_when = false;
template <class Guard, class Body>
inline constexpr bool is_when<WhenClause<Guard, Body>> = true;

}  // namespace detail

// A source beside the mailbox. receive asks try_take() after the mail and in clause order, but
// every 16th time before it, so that mail that never ends does not shut a source out; when it parks
// it arms every source and disarms them all after.
template <class C>
concept ExternalClause = requires(C& clause, detail::Waker waker) {
  typename std::remove_cvref_t<C>::is_external_clause;
  { clause.try_take() } -> std::same_as<bool>;  // something was there and is taken; must not park
  clause.run();                                 // after a true try_take: the body
  clause.arm(waker);                            // wake the receiver when try_take may succeed
  clause.disarm();
};

// A clause with a condition; the guard must be pure and must not park.
template <class Guard, class Body>
auto when(Guard guard, Body body) {
  static_assert(std::is_same_v<detail::PatternOf<Guard>, detail::PatternOf<Body>>,
                "when(): guard and body must take the same message type");
  static_assert(
      std::is_lvalue_reference_v<detail::ParameterOf<Guard>>,
      "when(): the guard must take its message by reference, the message may stay in the mailbox");
  return detail::WhenClause<Guard, Body>{std::move(guard), std::move(body)};
}

// The body of a receive whose wait is over. Zero polls: what is in the mailbox, or the body at
// once.
template <class Body>
auto after(Wait wait, Body body) {
  return detail::AfterClause<Body>{wait, std::move(body)};
}

namespace detail {

template <class C>
struct ClauseTraits {  // a plain callable
  using Pattern = PatternOf<C>;
  using Result = std::invoke_result_t<
      C&, std::conditional_t<std::is_lvalue_reference_v<ParameterOf<C>>, Pattern&, Pattern>>;
};
template <class Guard, class Body>
struct ClauseTraits<WhenClause<Guard, Body>> : ClauseTraits<Body> {};
template <class Body>
struct ClauseTraits<AfterClause<Body>> {
  using Pattern = void;
  using Result = std::invoke_result_t<Body&>;
};
template <ExternalClause C>
struct ClauseTraits<C> {
  using Pattern = void;
  using Result = decltype(std::declval<C&>().run());
};

template <class C>
inline constexpr bool is_mail_clause = !is_after<C> && !ExternalClause<C>;

template <class F>
concept TakesOneMessage = requires {
  typename ParameterOf<F>;
  requires Sendable<PatternOf<F>> ||
      (std::is_same_v<PatternOf<F>, Message> && std::is_lvalue_reference_v<ParameterOf<F>>);
};
template <class C>
concept Clause = is_after<C> || is_when<C> || ExternalClause<C> || TakesOneMessage<C>;

// Runs the body on a matched message, which it owns.
template <class Body>
decltype(auto) run_body(Body& body, MessagePointer message) {
  using Argument = ParameterOf<Body>;
  using Pattern = std::remove_cvref_t<Argument>;
  if constexpr (std::is_same_v<Pattern, Message>) {
    return body(*message);
  } else if constexpr (std::is_lvalue_reference_v<Argument>) {
    return body(message->as<Pattern>());
  } else {
    Pattern value = std::move(message->as<Pattern>());
    message.reset();  // its block is warm for what the body sends
    return body(std::move(value));
  }
}

template <class C>
bool matches(C& clause, Message& message) {
  if constexpr (!is_mail_clause<C>) {
    return false;
  } else if constexpr (is_when<C>) {
    using Pattern = typename ClauseTraits<C>::Pattern;
    if constexpr (std::is_same_v<Pattern, Message>) {
      return clause.guard(message);
    } else {
      return message.is<Pattern>() && clause.guard(message.as<Pattern>());
    }
  } else {
    using Pattern = typename ClauseTraits<C>::Pattern;
    if constexpr (std::is_same_v<Pattern, Message>) {
      return true;
    } else {
      return message.is<Pattern>();
    }
  }
}

template <class C>
auto& body_of(C& clause) {
  if constexpr (is_when<C>) {
    return clause.body;
  } else {
    return clause;
  }
}

template <class C>
decltype(auto) run_clause([[maybe_unused]] C& clause, [[maybe_unused]] MessagePointer message) {
  return run_body(body_of(clause), std::move(message));
}

template <class C>
constexpr bool is_extracted() {
  if constexpr (is_mail_clause<C>) {
    using Argument = ParameterOf<std::remove_cvref_t<decltype(body_of(std::declval<C&>()))>>;
    using T = std::remove_cvref_t<Argument>;
    if constexpr (!std::is_lvalue_reference_v<Argument> && !std::is_nothrow_move_constructible_v<T>)
      return std::is_convertible_v<Extraction<T>, T>;
  }
  return false;
}

template <class C>
decltype(auto) run_clause([[maybe_unused]] C& clause, Mailbox* mailbox) {
  if constexpr (is_extracted<C>()) {
    return body_of(clause)(Extraction<typename ClauseTraits<C>::Pattern>(*mailbox));
  } else {
    return run_clause(clause, mailbox->take_scanned());
  }
}

// Start of a receive: as enter_blocking_call, but a slice may go on for the mail that was there.
MailboxExtension& enter_receive();
// Parks in a receive. False: the deadline came.
bool park_in_receive(std::int64_t deadline);

// `from` is the message, or the mailbox whose scan has come to it.
template <class R, std::size_t I, class Clauses, class From>
R dispatch_mail(std::size_t index, Clauses& clauses, From from) {
  if constexpr (I < std::tuple_size_v<Clauses>) {
    using C = std::remove_cvref_t<std::tuple_element_t<I, Clauses>>;
    if constexpr (is_mail_clause<C>) {
      if (index == I) return run_clause(std::get<I>(clauses), std::move(from));
    }
    return dispatch_mail<R, I + 1>(index, clauses, std::move(from));
  } else {
    __builtin_unreachable();
  }
}

template <class R, std::size_t I, class Clauses>
R dispatch_source(std::size_t index, Clauses& clauses) {
  if constexpr (I < std::tuple_size_v<Clauses>) {
    using C = std::remove_cvref_t<std::tuple_element_t<I, Clauses>>;
    if constexpr (ExternalClause<C>) {
      if (index == I) return std::get<I>(clauses).run();
    }
    return dispatch_source<R, I + 1>(index, clauses);
  } else {
    __builtin_unreachable();
  }
}

// Arms every source for the length of a park.
template <class Clauses>
class ArmedSources {
 public:
  ArmedSources(Clauses& clauses, Task& task) : waiting_(task), clauses_(clauses) {
    std::apply([&](auto&... clause) { (arm(clause, waiting_.waker()), ...); }, clauses_);
  }
  ~ArmedSources() {
    std::apply([](auto&... clause) { (disarm(clause), ...); }, clauses_);
  }
  ArmedSources(const ArmedSources&) = delete;
  ArmedSources& operator=(const ArmedSources&) = delete;

 private:
  template <class C>
  static void arm([[maybe_unused]] C& clause, [[maybe_unused]] Waker waker) {
    if constexpr (ExternalClause<C>) clause.arm(waker);
  }
  template <class C>
  static void disarm([[maybe_unused]] C& clause) {
    if constexpr (ExternalClause<C>) clause.disarm();
  }
  const Waiting waiting_;
  Clauses& clauses_;
};

// The index of the first source that had something, which is taken; the number of clauses if none
// had.
template <class... Cs>
std::size_t take_from_source(Cs&... cs) {
  std::size_t index = 0;
  auto try_take = [](auto& clause) {
    if constexpr (ExternalClause<decltype(clause)>) {
      return clause.try_take();
    } else {
      return false;
    }
  };
  static_cast<void>(((try_take(cs) || (++index, false)) || ...));
  return index;
}

template <class... Cs>
struct ReceiveTraits {
  using Result = typename ClauseTraits<std::tuple_element_t<0, std::tuple<Cs...>>>::Result;
  static constexpr bool is_one_result =
      (std::is_same_v<Result, typename ClauseTraits<Cs>::Result> && ...);
  static constexpr std::size_t afters = (0 + ... + (is_after<Cs> ? 1 : 0));
  static constexpr bool is_after_last =
      afters == 0 ||
      (afters == 1 && is_after<std::tuple_element_t<sizeof...(Cs) - 1, std::tuple<Cs...>>>);
  static constexpr bool has_sources = (false || ... || ExternalClause<Cs>);
  static constexpr bool has_extracted = (false || ... || is_extracted<Cs>());
};

template <class... Cs>
auto receive_any_of(Cs&&... cs) {
  using Traits = ReceiveTraits<std::remove_cvref_t<Cs>...>;
  using R = typename Traits::Result;
  using Clauses = std::tuple<Cs&...>;
  Clauses clauses(cs...);

  Mailbox& mailbox = enter_receive().mailbox;
  std::int64_t deadline = no_deadline;
  bool has_deadline = false;
  bool is_over = false;
  if constexpr (Traits::has_sources) {
    if (mailbox.is_turn_of_others()) {
      const std::size_t index = take_from_source(cs...);
      if (index < sizeof...(Cs)) return dispatch_source<R, 0>(index, clauses);
    }
  }
  mailbox.start_scan();
  for (;;) {
    while (Message* message = mailbox.scanned()) {
      std::size_t index = 0;
      const bool is_match =
          !mailbox.is_hidden(*message) && ((matches(cs, *message) || (++index, false)) || ...);
      if (is_match) {
        if constexpr (Traits::has_extracted) {
          return dispatch_mail<R, 0>(index, clauses, &mailbox);
        } else {
          return dispatch_mail<R, 0>(index, clauses, mailbox.take_scanned());
        }
      }
      mailbox.skip();
    }
    if constexpr (Traits::has_sources) {
      const std::size_t index = take_from_source(cs...);
      if (index < sizeof...(Cs)) return dispatch_source<R, 0>(index, clauses);
    }
    if constexpr (Traits::afters == 1) {
      auto& last = std::get<sizeof...(Cs) - 1>(clauses);
      if (is_over || last.wait.is_poll()) return last.body();
      if (!has_deadline) deadline = last.wait.to_deadline();
      has_deadline = true;
    }
    if constexpr (Traits::has_sources) {
      const ArmedSources<Clauses> armed(clauses, *Hub::current().current_task());
      is_over = !park_in_receive(deadline);
    } else {
      is_over = !park_in_receive(deadline);
    }
  }
}

}  // namespace detail

// **Blocks.** until a clause matches, and returns what its body returns; all bodies must agree on
// the type. A body runs in this greenlet and may block. The wait of after() counts from here; mail
// that matches nothing does not restart it.
template <class... Cs>
auto receive(Cs&&... cs) {
  if constexpr (sizeof...(Cs) == 0) {
    static_assert(sizeof...(Cs) > 0, "receive() needs a clause");
  } else if constexpr (!(detail::Clause<std::remove_cvref_t<Cs>> && ...)) {
    static_assert(
        (detail::Clause<std::remove_cvref_t<Cs>> && ...),
        "receive(): a clause is a callable with one parameter: a type that can be sent (no "
        "auto, no pointer, no string_view), or Message&");
  } else if constexpr (!detail::ReceiveTraits<std::remove_cvref_t<Cs>...>::is_one_result) {
    static_assert(detail::ReceiveTraits<std::remove_cvref_t<Cs>...>::is_one_result,
                  "receive(): all bodies must return the same type (or all nothing)");
  } else if constexpr (!detail::ReceiveTraits<std::remove_cvref_t<Cs>...>::is_after_last) {
    static_assert(detail::ReceiveTraits<std::remove_cvref_t<Cs>...>::is_after_last,
                  "receive(): one after() at most, and as the last clause");
  } else {
    return detail::receive_any_of(std::forward<Cs>(cs)...);
  }
}

}  // namespace greenroom
