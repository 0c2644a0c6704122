// What actors do to each other: send, link, monitor, exit, names.
// Unless a line says otherwise none of these parks, none throws because of the other actor, and a
// greenlet that is no actor becomes one at its first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "greenroom/actors/core/delivery.h"
#include "greenroom/actors/core/signals.h"
#include "greenroom/actors/names/registry.h"
#include "greenroom/actors/values/exit_reason.h"
#include "greenroom/actors/values/options.h"
#include "greenroom/actors/values/pid.h"
#include "greenroom/mailbox/message.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom {

// The current actor. Throws std::logic_error in hub work.
Pid self();

namespace detail {

struct Task;

template <class T>
MessagePointer message_of(T&& message) {
  using Value = Stored<T>;
  static_assert(Sendable<Value>,
                "send(): a message is a movable value. Not a pointer, a reference or a "
                "string_view: what they point at may be gone, "
                "or another hub's, when the message is read. Send the value, a std::unique_ptr or "
                "a std::shared_ptr.");
  return make_message<Value>(Value(std::forward<T>(message)));
}

Pid pid_of_name(std::string_view name);  // throws NoSuchName

}  // namespace detail

// Appends the message to the actor's mailbox; a dead actor's is dropped. A string literal is sent
// as a std::string. As erlang:send/2. Any thread: one that is no hub of the run has a Hold of the
// receiver's hub until it has sent, taken there before (`green::get_hub().hold()`). Without one
// that hub, if it waits for nothing else, ends by LoopExit. So has one that calls cast, exit or
// release().
template <class T>
void send(Pid to, T message) {
  detail::send_message(to, detail::message_of(std::move(message)));
}
// Throws NoSuchName.
template <class T>
void send(std::string_view name, T message) {
  const Pid to = detail::pid_of_name(name);  // first: nothing may throw beside an OwnedMessage
  detail::send_message(to, detail::message_of(std::move(message)));
}

// Ends the calling actor with the reason, after its destructors. As erlang:exit/1. On a thread's
// own stack, main's above all, there is no actor to end: that is std::terminate, and the reason is
// logged.
[[noreturn]] void stop(ExitReason reason = Reason::normal);

// An exit signal. `kill` cannot be trapped and arrives as `killed`. To an actor that traps exits
// any other is an Exit message; without that, `normal` is dropped. With a detail both are reasons
// like any other. One to oneself that ends the caller acts at once: this call throws. As
// erlang:exit/2.
void exit(Pid to, ExitReason reason);

// The two share their fate from now on; a dead actor answers with an exit signal `noproc`. As
// erlang:link/1 and unlink/1.
void link(Pid peer);
void unlink(Pid peer);

// A Down tells when the actor ends, at once (`noproc`) if it is dead or nobody has the name. As
// erlang:monitor/2.
MonitorRef monitor(Pid target);
MonitorRef monitor(std::string_view name);
// No Down of that monitor is in the mailbox, or will ever be, after this; false if its Down had
// come already (read since or not), or it had been ended. Throws std::logic_error for another
// actor's. As erlang:demonitor(Ref, [flush, info]).
bool demonitor(MonitorRef ref);

// Exit signals become Exit messages from now on (or not). Returns what it was. As
// process_flag(trap_exit, On).
bool trap_exits(bool on = true);

// Throws BadName if the name is empty or taken or the actor is dead. An actor may have several
// names. As erlang:register/2. **Blocks.** for an actor of another hub.
void register_name(std::string_view name, Pid pid = self());
// Throws BadName if nobody has it.
void unregister_name(std::string_view name);

// It has a life before it: not ended, and not told to exit. **Blocks.** for an actor of another
// hub; everything sent before has then arrived. As erlang:is_process_alive/1.
bool is_alive(Pid pid);

}  // namespace greenroom
