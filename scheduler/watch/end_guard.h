// The end of a process whose hub cannot bring it about: a signal has asked for the end, and the hub
// that is to see to it is stuck in a std::mutex, an endless loop or a system call.
//
// The signal's handler counts (note_end_signal), and the stall watch's thread looks: once the grace
// after the first signal is over, or at the second one, a hub that has not moved for `patience`
// ends the process, with a report on stderr of who holds it. A hub that moves is never cut short.
//
// The process ends by _exit(1): what the stuck thread holds (malloc's lock, stdio's) is never given
// back, so no destructor and no atexit handler may run. Rejected: the signal's default action, as
// those who start programs (systemd, for one) take death by SIGTERM or SIGINT for success.
#pragma once

#include <cstdint>

namespace greenroom {
class Hub;
}

namespace greenroom::detail {

// So long a hub may stand still in its end: one destructor of much, say.
inline constexpr std::int64_t end_patience = 1'000'000'000;

// While it lives, signals end a process that is stuck. One at a time, made and destroyed on the hub
// that it speaks of; `grace` in nanoseconds.
class EndGuard {
 public:
  EndGuard(Hub& hub, std::int64_t grace) noexcept;
  ~EndGuard();
  EndGuard(const EndGuard&) = delete;
  EndGuard& operator=(const EndGuard&) = delete;

  // The hub's thread waits for another one so long from now at most, and is not stuck; 0: no more.
  void excuse_for(std::int64_t nanoseconds) noexcept;
};

// A signal asks for the end. Any thread, async-signal-safe.
void note_end_signal() noexcept;

// What the stall watch asks.
struct EndRequest {
  Hub* hub = nullptr;  // null: nobody has asked for an end
  std::int64_t due = 0;
  std::int64_t excused_until = 0;
  bool is_second = false;  // the signal; else the grace counts
};
EndRequest end_request() noexcept;

}  // namespace greenroom::detail
