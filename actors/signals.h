// Signals between actors: exits, links, monitors - and messages. One route for all, so that
// everything from one actor to another arrives in the order in which it was sent.
#pragma once

#include <cstdint>

#include "greenroom/actors/actor.h"
#include "greenroom/actors/exit_reason.h"
#include "greenroom/actors/pid.h"
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

// What became of a message.
enum class Placed : std::uint8_t { yes, dead, full };

// Sends a message. On this hub the answer is exact; to another it is `yes` once it is on its way.
Placed send_message(Pid to, MessagePointer message) noexcept;

// A message for an actor of this hub: limits applied, the reader woken.
Placed place_message(Actor& actor, MessagePointer message) noexcept;

// Makes the actor exit: it unwinds at its next suspension point, which is now if it is parked.
void accept_exit(Actor& actor, const ExitReason& reason);

}  // namespace detail
}  // namespace greenroom
