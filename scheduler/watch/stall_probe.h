// What a thread that stalls its hub runs, and where. One that sleeps in a system call is looked at
// from outside and left alone: a signal would cut its call short. One that runs is asked by a
// signal: SIGURG, which nobody else minds. Somebody else's handler is kept and gets what was not
// sent from here.
//
// A thread that runs when it is looked at may have gone into a call when the signal comes, some
// microseconds later. The kernel does not offer both in one; so it is looked at three times first,
// and one that goes from one short call to the next is met in one of them.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <cstdint>

#include "greenroom/scheduler/task/task.h"
#include "greenroom/scheduler/trace/stack_trace.h"

namespace greenroom {
class Hub;
}

namespace greenroom::detail {

struct StallReport {
  bool is_excused = false;  // it went on meanwhile, or nobody waits for it
  bool is_hub_work = false;
  bool is_in_system_call = false;
  TaskIdentity who = {};
  StackTrace trace = {};
};

// Before the first question. Once; later calls do nothing.
void install_stall_probe();

struct HubThread {
  pthread_t handle = {};
  pid_t id = 0;
};

// Asks the thread of a hub that counted `progress` when it was seen last. Null if it does not
// answer within a second: it blocks the signal, or the program has another handler. One thread at a
// time asks, and the hub does not end meanwhile; the report is good until the next question.
const StallReport* ask_for_stall(HubThread thread, Hub& hub, std::uint64_t progress);

}  // namespace greenroom::detail
