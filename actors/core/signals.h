// Signals between actors: exits, links, monitors. Plain values; delivery.h sends them, exit_rules.h
// says what they do.
#pragma once

#include <cstdint>

#include "greenroom/actors/values/exit_reason.h"
#include "greenroom/actors/values/pid.h"

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

}  // namespace detail
}  // namespace greenroom
