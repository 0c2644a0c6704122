// Signals of the process as hub work.
//
// The handler itself only puts a prepared node into the hub's inbox, so a signal reaches a hub that
// sleeps, one that watches no descriptor, and one that never runs out of ready greenlets.
// Rejected: ev_signal and signalfd: a busy hub that watches no descriptor does not poll, and
// signalfd needs the signal blocked in every thread of the program.
#pragma once

#include <csignal>
#include <functional>

#include "greenroom/scheduler/hub/hub.h"

namespace greenroom::detail {

struct SignalSlot;

// While it lives, the signal runs the callback on this hub: as hub work, so it must neither park
// nor throw. Signals that come faster than the hub runs are told once. Made and destroyed on its
// hub.
class SignalWatcher {
 public:
  enum class Reference : unsigned char {
    none,  // the hub does not wait for the signal: a hub with nothing else to do concludes LoopExit
    hold,
  };
  // Called by the signal's handler itself, on any thread, for each signal: async-signal-safe.
  using Notice = void (*)() noexcept;
  // Throws std::logic_error if the signal is watched already, std::system_error if it cannot be
  // caught. The notice, if not null, is for who cannot wait for the hub.
  SignalWatcher(int signal, std::function<void()> callback, Reference reference = Reference::none,
                Notice notice = nullptr);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

  void set_reference(Reference reference);

 private:
  friend struct SignalSlot;
  Hub& hub_;
  SignalSlot& slot_;
  std::function<void()> callback_;
  Hold hold_;
  int signal_;
  struct sigaction previous_;
};

}  // namespace greenroom::detail
