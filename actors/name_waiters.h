// Greenlets that wait for somebody to register a name, whichever: each looks for itself.
#pragma once

#include <atomic>
#include <mutex>

#include "greenroom/scheduler/park.h"

namespace greenroom::detail {

struct NameWaiters {
  std::mutex mutex;
  WaitQueue queue;
};

NameWaiters& name_waiters();

}  // namespace greenroom::detail
