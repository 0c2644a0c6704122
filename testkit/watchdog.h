// A thread that acts if it is not called off in time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace greenroom::testkit::detail {

class Watchdog {
 public:
  // Calls `bark` on a thread of its own after `time`; never, if that is 0.
  Watchdog(std::chrono::seconds time, std::function<void()> bark);
  // Calls it off, or waits until it has barked.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable called_off_;
  bool is_called_off_ = false;
  std::thread thread_;
};

}  // namespace greenroom::testkit::detail
