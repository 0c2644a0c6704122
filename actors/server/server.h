// Servers: gen_server as a plain struct with handle(Request) overloads.
//
// A server runs without a stack of its own between two messages. Its constructor runs in the actor
// and may block; so may its handlers, and then the next message waits.
#pragma once

#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "greenroom/actors/core/delivery.h"
#include "greenroom/actors/names/registry.h"
#include "greenroom/actors/server/request.h"
#include "greenroom/actors/server/server_type.h"
#include "greenroom/actors/values/call_error.h"
#include "greenroom/actors/values/outcome.h"
#include "greenroom/actors/verbs/spawn.h"
#include "greenroom/scheduler/greenlet/timeout.h"
#include "greenroom/scheduler/hub/park.h"

namespace greenroom {

// This incarnation of a server. A plain value.
template <class S>
class ServerRef {
 public:
  ServerRef() = default;
  explicit ServerRef(Pid pid) : pid_(pid) {}
  Pid pid() const { return pid_; }
  friend bool operator==(const ServerRef&, const ServerRef&) = default;

 private:
  Pid pid_;
};

// Whoever has the name at the moment of each use: survives restarts.
template <class S>
class ServerName {
 public:
  explicit ServerName(std::string_view name) : name_(name) {}
  const std::string& name() const { return name_; }
  std::optional<ServerRef<S>> find() const {
    const std::optional<Pid> pid = whereis(name_);
    if (!pid) return std::nullopt;
    return ServerRef<S>(*pid);
  }
  // A call through this waits for the name, up to the call's deadline; on a thread without a hub it
  // does not. Outside of run() another thread may take the name at any time, so there a call that
  // may wait for ever does, and does not end by LoopExit.
  ServerName waiting() const {
    ServerName copy = *this;
    copy.is_waiting_ = true;
    return copy;
  }
  bool is_waiting() const { return is_waiting_; }

 private:
  std::string name_;
  bool is_waiting_ = false;
};

// A server's constructor did not come to its end. reason() tells why; "already_started" carries the
// Pid that has the name.
struct StartError : std::runtime_error {
  explicit StartError(ExitReason why)
      : std::runtime_error("start failed: " + why.to_string()), reason_(std::move(why)) {}
  const ExitReason& reason() const { return reason_; }

 private:
  ExitReason reason_;
};

namespace detail {

struct ServerTask;

// How the run loop reaches a server's type.
struct ServerOps {
  const std::type_info* type;
  std::size_t state_offset;  // where it is, or is to be, from the start of the task
  void (*destroy_state)(void* state) noexcept;
  bool (*handle_other)(void* state,
                       Message&);  // a message that is no request; false: there is no handler
  void (*terminate)(void* state, const ExitReason&);  // null: none declared
  bool trap_exits;
};

// What the constructor needs, until it is done.
struct ServerStart {
  virtual ~ServerStart() = default;
  virtual void construct(void* place) = 0;
  ReplyHandle starter;
};

struct ServerTask : ActorTask {
  ServerTask(const TaskOps& task_ops, const ServerOps& ops_of_server)
      : ActorTask(task_ops, ActorState::starting), server_ops(&ops_of_server) {
    actor.mailbox.hide_requests();
    actor.traps_exits = ops_of_server.trap_exits;
  }
  void* server() { return reinterpret_cast<std::byte*>(this) + server_ops->state_offset; }

  const ServerOps* server_ops;
  Message* current = nullptr;          // what is being handled; owned
  std::unique_ptr<ServerStart> start;  // until the constructor is done
};
static_assert(sizeof(ServerTask) <= 216, "what each idle server takes, besides its state");

void run_server(Task& first);
void abandoned_server(Task& raw) noexcept;

// Task, actor and state in one block: the state comes behind the task.
template <class S>
struct ServerTaskOf final : ServerTask {
  explicit ServerTaskOf(std::unique_ptr<ServerStart> how) : ServerTask(task_ops, ops_of_type) {
    start = std::move(how);
  }

  static constexpr std::size_t state_offset =
      (sizeof(ServerTask) + alignof(S) - 1) / alignof(S) * alignof(S);
  static constexpr std::size_t block_size = state_offset + sizeof(S);

  static void destroy(Task& task) noexcept {
    auto* self = static_cast<ServerTaskOf*>(&task);
    self->~ServerTaskOf();
    release_block(self, block_size);
  }
  static void destroy_state(void* state) noexcept { static_cast<S*>(state)->~S(); }
  static void terminate(void* state, const ExitReason& reason) {
    if constexpr (HasTerminate<S>) static_cast<S*>(state)->terminate(reason);
  }

  static constexpr TaskOps task_ops{&run_server,     &destroy,    &abandoned_server,
                                    &describe_actor, &stop_actor, &typeid(S)};
  static constexpr ServerOps ops_of_type{&typeid(S),
                                         state_offset,
                                         &destroy_state,
                                         &handle_other<S>,
                                         HasTerminate<S> ? &terminate : nullptr,
                                         TrapsExits<S>};
};

template <class S, class... A>
struct ServerStartOf final : ServerStart {
  explicit ServerStartOf(A... a) : arguments(std::move(a)...) {}
  void construct(void* place) override {
    std::apply(
        [place](A&... a) {
    // An aggregate may leave members out: they have their defaults.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
          if constexpr (std::is_constructible_v<S, A...>) {
            new (place) S(std::move(a)...);
          } else {
            new (place) S{std::move(a)...};
          }
#pragma GCC diagnostic pop
        },
        arguments);
  }
  std::tuple<A...> arguments;
};

template <class S>
ServerTask& make_server(std::unique_ptr<ServerStart> start) {
  static_assert(alignof(S) <= 16,
                "a server's state is aligned to 16 bytes at most: put a std::unique_ptr into it");
  check_declarations<S>();
  static_assert(sizeof(ServerTaskOf<S>) == sizeof(ServerTask));
  void* block = allocate_block(ServerTaskOf<S>::block_size);
  return *new (block) ServerTaskOf<S>(std::move(start));
}

template <class S, class... A>
std::unique_ptr<ServerStart> make_server_start(A... a) {
  static_assert(
      std::is_constructible_v<S, A...> || requires(A... b) { S{std::move(b)...}; },
      "start<S>(a...): S cannot be constructed from a...");
  return std::make_unique<ServerStartOf<S, A...>>(std::move(a)...);
}

// **Blocks.** until the constructor is done; throws StartError.
Pid start_server(ServerTask& task, const SpawnOptions* options, bool is_linked);

template <class To>
struct ServerOfAddress;
template <class S>
struct ServerOfAddress<ServerRef<S>> {
  using type = S;
};
template <class S>
struct ServerOfAddress<ServerName<S>> {
  using type = S;
};
template <class To>
using ServerOf = typename ServerOfAddress<To>::type;

// What a call or a cast is sent to, without the server's type: a pid, or who has a name.
struct NamedServer {
  const std::string& name;
  bool is_waiting;
};
template <class S>
Pid address_of(const ServerRef<S>& ref) noexcept {
  return ref.pid();
}
template <class S>
NamedServer address_of(const ServerName<S>& name) noexcept {
  return {name.name(), name.is_waiting()};
}

// Of a call that names none. As gen_server:call/2.
inline constexpr Wait call_timeout = std::chrono::seconds(5);

// **Blocks.** Sends the request and waits until the cell is answered: by a reply, or with why there
// is none. On a thread without a hub, too.
void make_call(ReplyCell& cell, Pid to, OwnedMessage request, Wait wait);
void make_call(ReplyCell& cell, NamedServer to, OwnedMessage request, Wait wait);
inline void send_cast(Pid to, OwnedMessage request) noexcept {
  send_message(to, std::move(request));
}
void send_cast(NamedServer to, OwnedMessage request) noexcept;
ExitReason take_failure(ReplyCell& cell);
[[noreturn]] void throw_call_error(ReplyCell& cell);

}  // namespace detail

// A new server S(a...). **Blocks.** until its constructor, which runs in the actor, is done; throws
// StartError with the reason if it is not. As gen_server:start. With SpawnOptions first:
// "already_started" if the name is taken. A constructor that finds nothing to do calls
// stop(ExitReason("ignore")), as init/1 returns ignore: the actor ends with `normal`, StartError
// says "ignore", and a supervisor goes on without the child.
template <class S, class... A>
ServerRef<S> start(A... a) {
  return ServerRef<S>(detail::start_server(
      detail::make_server<S>(detail::make_server_start<S>(std::move(a)...)), nullptr, false));
}
template <class S, class... A>
ServerRef<S> start(SpawnOptions options, A... a) {
  return ServerRef<S>(detail::start_server(
      detail::make_server<S>(detail::make_server_start<S>(std::move(a)...)), &options, false));
}
// The same, linked to the caller, which is its parent: a server that traps exits ends with its
// parent's, through terminate. One whose constructor fails sends no exit signal: StartError tells.
// As gen_server:start_link.
template <class S, class... A>
ServerRef<S> start_link(A... a) {
  return ServerRef<S>(detail::start_server(
      detail::make_server<S>(detail::make_server_start<S>(std::move(a)...)), nullptr, true));
}
template <class S, class... A>
ServerRef<S> start_link(SpawnOptions options, A... a) {
  return ServerRef<S>(detail::start_server(
      detail::make_server<S>(detail::make_server_start<S>(std::move(a)...)), &options, true));
}

// **Blocks.** What S::handle(M) returns (or its ReplyTo is given), or why not: the server's exit
// reason, noproc, timeout, "mailbox_full", "no_reply", "calling_self", deadlock. The server goes on
// with a request whose call has timed out; it can ask request_cancelled(). A thread without a hub
// may call, too: it waits on a futex. As gen_server:call.
template <class To, class M>
auto try_call(const To& to, M message, Wait wait = detail::call_timeout)
    -> Outcome<detail::ReplyOf<detail::ServerOf<To>, detail::Stored<M>>> {
  using Value = detail::Stored<M>;
  using S = detail::ServerOf<To>;
  detail::ReplyCellOf<detail::ReplyOf<S, Value>> cell;
  detail::make_call(cell, detail::address_of(to),
                    detail::make_request<S, Value>(std::move(message)), wait);
  if (cell.state != detail::ReplyState::value) [[unlikely]]
    return detail::take_failure(cell);
  return std::move(cell.value);
}

// The same; throws CallError instead of returning a reason.
template <class To, class M>
auto call(const To& to, M message, Wait wait = detail::call_timeout)
    -> detail::ReplyOf<detail::ServerOf<To>, detail::Stored<M>> {
  using Value = detail::Stored<M>;
  using S = detail::ServerOf<To>;
  using R = detail::ReplyOf<S, Value>;
  detail::ReplyCellOf<R> cell;
  detail::make_call(cell, detail::address_of(to),
                    detail::make_request<S, Value>(std::move(message)), wait);
  if (cell.state != detail::ReplyState::value) [[unlikely]]
    detail::throw_call_error(cell);
  if constexpr (!std::is_void_v<R>) return std::move(cell.value);
}

// A pid does not say which server it is: call(ServerRef<S>(pid), ...).
template <class M>
void try_call(Pid, M, Wait = detail::call_timeout) = delete;
template <class M>
void call(Pid, M, Wait = detail::call_timeout) = delete;
template <class M>
void cast(Pid, M) = delete;

// A request without a reply. Never fails, never parks; to nobody it is dropped. Any thread. As
// gen_server:cast.
template <class To, class M>
void cast(const To& to, M message) {
  using Value = detail::Stored<M>;
  detail::send_cast(detail::address_of(to),
                    detail::make_request<detail::ServerOf<To>, Value>(std::move(message)));
}

// In a handler: the call's deadline has passed, or whoever called, if it lives on this hub, does
// not wait any more. False for a cast.
bool request_cancelled();

}  // namespace greenroom
