// Asks a thread that stalls its hub what it runs and where, by a signal: SIGURG, which nobody else
// minds. Somebody else's handler is kept and gets what was not sent from here.
#pragma once

#include <pthread.h>

#include <cstdint>

#include "greenroom/scheduler/dump.h"
#include "greenroom/scheduler/stack_trace.h"

namespace greenroom {
class Hub;
}

namespace greenroom::detail {

struct StallReport {
  bool is_excused = false;  // it went on meanwhile, or nobody waits for it
  bool is_hub_work = false;
  TaskIdentity who;
  StackTrace trace = {};
};

// Once, before the first question.
void install_stall_probe();

// Asks the thread of a hub that counted `progress` when it was seen last. Null if it does not
// answer within a second: it blocks the signal, or the program has another handler. One thread at a
// time; the report is good until the next question.
const StallReport* ask_for_stall(pthread_t thread, Hub& hub, std::uint64_t progress);

}  // namespace greenroom::detail
