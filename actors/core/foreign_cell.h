// Where a thread without a hub waits for the reply to a call.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "greenroom/actors/core/reply.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::detail {

struct ForeignCell {
  std::mutex mutex;
  std::condition_variable answered;
  bool is_answered = false;
  ReplyPostPointer value;
  std::unique_ptr<const ExitReason> failure;

  ForeignCell() = default;
  ForeignCell(const ForeignCell&) = delete;
  ForeignCell& operator=(const ForeignCell&) = delete;

  // A handle for it; the cell lives until both are done with it.
  static ReplyHandle handle_for(const std::shared_ptr<ForeignCell>& cell) {
    return {1, reinterpret_cast<std::uintptr_t>(new std::shared_ptr<ForeignCell>(cell)),
            ReplyHandle::foreign};
  }

  // False if the deadline (kernel clock) came first.
  bool wait(std::int64_t deadline) {
    std::unique_lock lock(mutex);
    if (deadline == no_deadline) {
      answered.wait(lock, [&] { return is_answered; });
      return true;
    }
    const auto until = std::chrono::steady_clock::time_point(std::chrono::nanoseconds(deadline));
    return answered.wait_until(lock, until, [&] { return is_answered; });
  }
};

}  // namespace greenroom::detail
