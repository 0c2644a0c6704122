// Signals between actors: exits, links, monitors - and messages. One route for all, so that
// everything from one actor to another arrives in the order in which it was sent.
#pragma once

#include <cstdint>
#include <utility>

#include "greenroom/actors/core/actor.h"
#include "greenroom/actors/values/exit_reason.h"
#include "greenroom/actors/values/pid.h"
#include "greenroom/mailbox/message.h"

namespace greenroom {

// Messages that signals become.
struct Exit {
  Pid from;
  ExitReason reason;
};
struct Down {
  MonitorRef ref;
  Pid pid;
  ExitReason reason;
};

namespace detail {

enum class SignalKind : std::uint8_t {
  exit,       // exit/2
  link_exit,  // a linked actor has ended
  link,       // `from` has linked itself to `to`
  unlink,     // `from` has unlinked itself from `to`; to be acknowledged by id
  unlinked,   // the acknowledgement
  monitor,    // `from` monitors `to` under the number id
  demonitor,
  down,
  abandon,  // of an actor that was killed and does not end: it is not resumed any more
};

struct Signal {
  SignalKind kind;
  Pid from;
  Pid to;
  std::uint64_t id = 0;
  ExitReason reason = Reason::normal;
};

// Sends it, to a dead or unknown actor too (which may cause an answer). Any thread with or without
// a hub.
void send_signal(const Signal& signal);

// As the answer to a link to nobody.
void link_to_nobody(Actor& actor);

// What became of a message.
enum class Placed : std::uint8_t { yes, dead, full };

// Sends a message. On this hub the answer is exact; to another it is `yes` once it is on its way.
Placed send_owned_message(Pid to, Message& message) noexcept;  // takes it over
inline Placed send_message(Pid to, MessagePointer message) noexcept {
  // By reference: a unique_ptr that is passed on lies in memory.
  return send_owned_message(to, *message.release());
}

// Makes the actor exit: it unwinds at its next suspension point, which is now if it is parked.
void accept_exit(Actor& actor, const ExitReason& reason);

}  // namespace detail
}  // namespace greenroom
