#include "greenroom/testkit/watchdog.h"

#include <utility>

namespace greenroom::testkit::detail {

Watchdog::Watchdog(std::chrono::seconds time, std::function<void()> bark) {
  if (time.count() == 0) return;
  thread_ = std::thread([this, time, bark = std::move(bark)] {
    std::unique_lock lock(mutex_);
    if (called_off_.wait_for(lock, time, [this] { return is_called_off_; })) return;
    lock.unlock();
    bark();
  });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    is_called_off_ = true;
  }
  called_off_.notify_one();
  if (thread_.joinable()) thread_.join();
}

}  // namespace greenroom::testkit::detail
