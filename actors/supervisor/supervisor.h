// Supervisors: actors that start, watch, restart and end their children, as OTP's supervisor.
//
// A tree is data: supervisor(...) and child(...) make specifications, run() or start_supervisor()
// starts them. Children start in order, each done before the next begins, and end in reverse.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "greenroom/actors/server/server.h"
#include "greenroom/actors/verbs/spawn.h"

namespace greenroom {

enum class Strategy : std::uint8_t {
  one_for_one,   // only the child that ended
  one_for_all,   // all children
  rest_for_one,  // the child that ended and those started after it
};
enum class Restart : std::uint8_t {
  permanent,  // always
  transient,  // unless it ended with a quiet reason: ExitReason::is_quiet
  temporary,  // never
};
enum class AutoShutdown : std::uint8_t { never, any_significant, all_significant };

// How a child is ended: told to shut down and killed after a while, killed at once, or waited for.
class Shutdown {
 public:
  static Shutdown after(std::chrono::nanoseconds time) { return Shutdown(Kind::after, time); }
  static Shutdown brutal_kill() { return Shutdown(Kind::kill, {}); }
  static Shutdown infinity() { return Shutdown(Kind::infinity, {}); }

  bool is_brutal() const { return kind_ == Kind::kill; }
  // How long the child has until it is killed: of a brutal kill no time at all.
  Wait wait() const { return kind_ == Kind::infinity ? Wait::forever() : Wait(time_); }

 private:
  enum class Kind : std::uint8_t { after, kill, infinity };
  Shutdown(Kind kind, std::chrono::nanoseconds time) : kind_(kind), time_(time) {}
  Kind kind_;
  std::chrono::nanoseconds time_;
};

// What becomes of a child that was killed and has not ended 5 s later: it holds kills off, swallows
// its exit, or comes to no blocking call. It is reported with its stack in any case. One that
// swallows its exit in a loop does not get so far: after 1000 times it is abandoned, whatever is
// said here, as it would keep its hub busy.
enum class Unkillable : std::uint8_t {
  wait,     // waited for, and reported again every 5 s
  abandon,  // given up: it is never resumed and its locals are not destroyed, so what it holds
            // stays held; links and monitors see `killed`. One that keeps its hub's thread goes on
            // there.
  abort,    // std::abort
};

struct ChildOptions {
  std::string id = {};  // unique under its supervisor; default: made up
  Restart restart = Restart::permanent;
  Shutdown shutdown = Shutdown::after(std::chrono::seconds(5));
  bool significant = false;  // see AutoShutdown; not with Restart::permanent, not in a dynamic one
  Unkillable unkillable = Unkillable::wait;
  MailboxLimit mailbox = {};
  std::string name = {};              // registered; default: the id, for a server or a supervisor
  std::string label = {};             // for people; default: the id, for an actor function
  Placement place = Placement::here;  // here: with its supervisor
  std::size_t stack_size = 0;         // as SpawnOptions::stack_size; 0 = default
};

// A pause before a restart that follows another one closely; none by default, as OTP. The n-th
// restart within the period waits initial * 2^(n-1), at most `limit`. Siblings that are restarted
// with the child end before the pause and start after it.
struct Backoff {
  std::chrono::nanoseconds initial = {};
  std::chrono::nanoseconds limit = std::chrono::seconds(10);
};

// How a child is started: a function of its options, in which its supervisor has filled in what
// they left open, or of its id alone. It **Blocks.** in the supervisor, starts the child linked,
// returns its pid, and throws StartError.
class ChildStart {
 public:
  ChildStart() = default;
  ChildStart(std::nullptr_t) {}
  // start(options) or start(id). Who calls this by an id alone means `usual`.
  template <class F>
  requires(std::is_invocable_r_v<Pid, F&, const ChildOptions&> ||
           std::is_invocable_r_v<Pid, F&, const std::string&>)
      ChildStart(F start, ChildOptions usual = {})
      : usual_(std::move(usual)) {
    if constexpr (std::is_invocable_r_v<Pid, F&, const ChildOptions&>) {
      start_ = std::move(start);
    } else {
      start_ = [start = std::move(start)](const ChildOptions& options) mutable {
        return start(options.id);
      };
    }
  }
  explicit operator bool() const { return static_cast<bool>(start_); }
  Pid operator()(const ChildOptions& options) const { return start_(options); }
  // What was given, if it is an F that takes options; else null. For the runtime.
  template <class F>
  F* target() noexcept {
    return start_.template target<F>();
  }
  Pid operator()(const std::string& id) const {
    ChildOptions options = usual_;
    options.id = id;
    return start_(options);
  }

 private:
  std::function<Pid(const ChildOptions&)> start_;
  ChildOptions usual_;
};

struct ChildSpec {
  ChildOptions options;
  bool is_supervisor = false;
  ChildStart start;
};

struct SupervisorOptions {
  std::string id = {};  // registered, if not empty
  Strategy strategy = Strategy::one_for_one;
  int intensity = 1;  // restarts within the period that are still borne
  std::chrono::nanoseconds period = std::chrono::seconds(5);
  AutoShutdown auto_shutdown = AutoShutdown::never;
  Backoff backoff = {};
  std::vector<ChildSpec> children = {};
};

struct DynamicOptions {
  std::string id = {};
  std::size_t max_children = 0;  // 0 = unbounded
  int intensity = 1;
  std::chrono::nanoseconds period = std::chrono::seconds(5);
  Placement place = Placement::here;  // of children that say `here`
  std::size_t stack_size = 0;         // of children that name none
};

// A supervisor as a child like any other: trees nest. Its shutdown is infinity. Throws
// std::invalid_argument for duplicate ids, a child that has no start, a significant one that is
// permanent or under AutoShutdown::never, a negative intensity, or a period that is not positive.
ChildSpec supervisor(SupervisorOptions options);
// A supervisor whose children are started one by one with start_child, in any number. At its end
// all are told to shut down at once, and have the longest of their shutdown times. Throws
// std::invalid_argument for a negative intensity, a period that is not positive, or a stack over
// 256 MiB.
ChildSpec dynamic_supervisor(DynamicOptions options);

namespace detail {
// Throws std::invalid_argument for a stack over 256 MiB.
ChildOptions checked(ChildOptions options);
// What a child's options say to spawn, and to start.
SpawnOptions actor_options(const ChildOptions& options);
SpawnOptions server_options(const ChildOptions& options);
}  // namespace detail

// A server child, registered under its name, or its id, if it has one; constructed from copies of
// the arguments at every start. Throws std::invalid_argument for a stack over 256 MiB.
template <class S, class... A>
ChildSpec child(ChildOptions options, A... arguments) {
  static_assert((std::is_copy_constructible_v<A> && ...),
                "child<S>(options, a...): S is constructed from copies at every start, so each "
                "argument must have them: a std::shared_ptr, say, to what has none");
  ChildSpec spec;
  spec.options = detail::checked(std::move(options));
  auto start = [arguments =
                    std::tuple<A...>(std::move(arguments)...)](const ChildOptions& filled_in) {
    return std::apply(
        [&](const A&... a) {
          return start_link<S>(detail::server_options(filled_in), A(a)...).pid();
        },
        arguments);
  };
  spec.start = {std::move(start), spec.options};
  return spec;
}

// An actor that runs f(arguments...) on copies, at every start. Throws as the one for servers.
template <class F, class... A>
requires std::is_invocable_v < std::decay_t<F>
&, A... > ChildSpec child(ChildOptions options, F f, A... arguments) {
  ChildSpec spec;
  spec.options = detail::checked(std::move(options));
  if constexpr ((std::is_copy_constructible_v<F> && ... && std::is_copy_constructible_v<A>)) {
    auto start = [call = std::tuple<F, A...>(std::move(f), std::move(arguments)...)](
                     const ChildOptions& filled_in) {
      return std::apply(
          [&](const F& g, const A&... a) {
            return spawn_link(detail::actor_options(filled_in), F(g), A(a)...);
          },
          call);
    };
    spec.start = {std::move(start), spec.options};
  } else {
    spec.options.restart = Restart::temporary;
    // Moved out at the first start; there is no other.
    auto call = std::make_shared<std::optional<std::tuple<F, A...>>>(std::in_place, std::move(f),
                                                                     std::move(arguments)...);
    auto start = [call](const ChildOptions& filled_in) {
      if (!*call) throw StartError(ExitReason("ignore"));
      std::tuple<F, A...> once = *std::exchange(*call, std::nullopt);
      return std::apply(
          [&](F& g, A&... a) {
            return spawn_link(detail::actor_options(filled_in), std::move(g), std::move(a)...);
          },
          once);
    };
    spec.start = {std::move(start), spec.options};
  }
  return spec;
}

// A request to a supervisor that it refused. reason(): "already_started" (with the Pid),
// "already_present", "not_found", "running", "restarting", "max_children", "not_static",
// "bad_child" (with what supervisor() throws for), or why the start failed.
struct ChildError : std::runtime_error {
  explicit ChildError(ExitReason why)
      : std::runtime_error("supervisor: " + why.to_string()), reason_(std::move(why)) {}
  const ExitReason& reason() const { return reason_; }

 private:
  ExitReason reason_;
};

// Names a supervisor: by pid, or by the id it is registered under.
class Supervisor {
 public:
  Supervisor(Pid pid) : pid_(pid) {}
  Supervisor(std::string_view id) : id_(id) {}
  Supervisor(const char* id) : id_(id) {}
  Supervisor(const std::string& id) : id_(id) {}
  // Throws NoSuchName.
  Pid pid() const;

 private:
  Pid pid_;
  std::string id_;
};

struct ChildInfo {
  std::string id;
  Pid pid;                     // nobody: not running
  bool is_restarting = false;  // not running yet: itself or a sibling that it is restarted with
  bool is_supervisor = false;
};

struct ChildCounts {
  std::size_t specs = 0;
  std::size_t active = 0;
  std::size_t supervisors = 0;
  std::size_t workers = 0;
};

// All of these **Block.** until the supervisor has answered, however long, and throw ChildError,
// or, if it is not there, CallError, by a name NoSuchName. A child that asks its own supervisor in
// its constructor waits for itself. Pid{} is returned for a child that ignores its start (see
// start()): under a static supervisor its specification stays, unless it is temporary.
Pid start_child(const Supervisor& supervisor, ChildSpec spec);
std::vector<ChildInfo> which_children(const Supervisor& supervisor);
ChildCounts count_children(const Supervisor& supervisor);
// Ends it; it is not restarted. Under a static supervisor the specification stays. One that is just
// restarting is left out, and its siblings are restarted without it.
void terminate_child(const Supervisor& supervisor, std::string_view id);
void terminate_child(const Supervisor& supervisor, Pid child);
void delete_child(const Supervisor& supervisor, std::string_view id);
Pid restart_child(const Supervisor& supervisor, std::string_view id);

// A new child running f(arguments...). Copyable ones are kept for restarts; a move-only argument (a
// Stream, say) is moved in, and the child is temporary.
template <class F, class... A>
requires std::is_invocable_v < std::decay_t<F>
&, A... > Pid start_child(const Supervisor& supervisor, ChildOptions options, F f, A... arguments) {
  return start_child(supervisor, child(std::move(options), std::move(f), std::move(arguments)...));
}
// A new server child S(arguments...).
template <class S, class... A>
Pid start_child(const Supervisor& supervisor, ChildOptions options, A... arguments) {
  return start_child(supervisor, child<S>(std::move(options), std::move(arguments)...));
}

// Starts a tree, linked to the caller. **Blocks.** until all its children are up; throws
// StartError, std::invalid_argument for a ChildSpec{} that nobody has filled in.
Pid start_supervisor(const ChildSpec& tree);

namespace detail {
void check_tree(const ChildSpec& tree);
}

}  // namespace greenroom
