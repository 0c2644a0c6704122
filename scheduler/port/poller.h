// A poller: how an idle hub waits. The scheduler's own knows no descriptors; io/ installs one that
// does. Called by the hub's thread only, at the base of a runner, with no current task.
#pragma once

#include <cstdint>

#include "greenroom/scheduler/port/port.h"

namespace greenroom::detail {

class Poller {
 public:
  virtual ~Poller() = default;
  // Delivers what is ready, waiting for it up to `nanoseconds` (no_deadline: for ever; 0: not at
  // all). A wait ends early when the port is woken. Callbacks wake tasks; they never park and never
  // throw.
  virtual void poll(std::int64_t nanoseconds) = 0;
  // True while something is watched: the hub may then wait for ever, and polls while busy.
  virtual bool is_watching() const = 0;
  // True: it is io/'s FdPoller.
  virtual bool watches_descriptors() const { return false; }
  // In a simulation: a poll would tell somebody something.
  virtual bool has_news() { return false; }
};

// Waits on the port's sleep word.
class FutexPoller final : public Poller {
 public:
  explicit FutexPoller(Port& port) : port_(port) {}
  void poll(std::int64_t nanoseconds) override;
  bool is_watching() const override { return false; }

 private:
  Port& port_;
};

}  // namespace greenroom::detail
