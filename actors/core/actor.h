// An actor from the inside: a task with a pid and a mailbox, and what links and monitors hang on
// it.
//
// Touched by its hub's thread only; others send signals (signals.h). What few actors need is in
// extras: actor_hub.h, which users' files do not read.
#pragma once

#include <cassert>
#include <cstdint>
#include <string>

#include "greenroom/actors/values/exit_reason.h"
#include "greenroom/actors/values/pid.h"
#include "greenroom/mailbox/mailbox.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"

namespace greenroom::detail {

struct ActorExtras;
struct ActorHub;
struct ReplyCell;

// Where an actor is in its life. It goes forward only. An actor that is to exit is still in the
// state it was in: see is_exiting().
enum class ActorState : std::uint8_t {
  starting,     // a server whose constructor is not done
  running,      // an actor whose body is not over; a server that takes mail
  terminating,  // a server that takes no mail any more; its state is still there
  ending,       // a server without its state
  ended,        // the number is dead
};

struct Actor : MailboxExtension {
  explicit Actor(Task& owner, ActorState first = ActorState::running);
  ~Actor();

  Pid pid() const { return {0, task->hub->id(), number}; }
  ActorExtras& extra() { return extras ? *extras : make_extras(); }
  ActorExtras& make_extras();
  bool is_exiting() const {
    return (task->attention & attention::exiting) != 0 || state == ActorState::ended;
  }
  // The only way to another state, which is a later one.
  void advance_to(ActorState next) {
    assert(state < next);
    state = next;
  }

  Task* task;
  std::uint64_t number = 0;
  Pid parent;  // who spawned it; nobody for a promoted greenlet
  ActorExtras* extras = nullptr;
  ReplyCell* reply_cell = nullptr;  // of the call it waits in, in its frame
  ActorState state;
  // These three say nothing of each other, nor of the state.
  bool traps_exits = false;
  bool has_parent = false;  // of a server: started with a link, so that the parent's exit ends it
  bool is_told_to_end = false;  // by the end of the run
};
static_assert(sizeof(Actor) <= 96, "what each actor takes, besides its task and its stack");

inline Actor& actor_of(Task& task) { return static_cast<Actor&>(*task.extension); }

// The current task as an actor; a plain greenlet becomes one. Throws std::logic_error in hub work.
Actor& current_actor();
// The current actor, or null: no hub, hub work, or a greenlet that is none.
Actor* current_actor_if_any() noexcept;
// A greenlet of this hub as an actor. Throws std::logic_error on another hub, and if it has ended.
Pid pid_of_greenlet(Task& task);
// Says why an actor on a thread's own stack ends: nobody above it knows.
void tell_if_thread(const Actor& actor, const ExitReason& reason) noexcept;

// The life of an actor ends: its name is freed, its number dead, links and monitors are told, its
// mail destroyed.
void end_actor(Actor& actor, const ExitReason& outcome) noexcept;

// While an actor's callable, state or mail is destroyed: nothing interrupts it, and requests that
// die with it are left to end_actor(), which fails them with its reason once it is dead and its
// names are free. Several may be at it at once, as destructors park.
class EndingScope {
 public:
  explicit EndingScope(Actor& actor) noexcept;
  ~EndingScope();
  EndingScope(const EndingScope&) = delete;
  EndingScope& operator=(const EndingScope&) = delete;

  // Whose end the current task is at; null: nobody's.
  static Actor* current(Hub& hub) noexcept;

 private:
  Actor& actor_;
  const Task* destroyer_;  // who runs the destructors; null: hub work
  EndingScope* next_;
  Uncancellable uncancellable_;
};

// TaskOps::stop and abandoned of every kind of actor.
void stop_actor(Task& task) noexcept;
void abandoned_actor(Task& task) noexcept;

// What an actor's body has just thrown, as a reason; in a catch block.
ExitReason reason_of_current_exception();

// "actor <0.12.3> 'name' Room".
std::string describe_actor(const Task& task);

}  // namespace greenroom::detail
