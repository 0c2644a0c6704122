#include "greenroom/io/poll/signal_watcher.h"

#include <atomic>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "greenroom/scheduler/port/port.h"

namespace greenroom::detail {

// A signal of the process. Lives as long as the process, as an inbox may hold its node after the
// watcher has gone.
struct SignalSlot final : PostNode {
  std::atomic<Port*> port{nullptr};              // null: not watched
  std::atomic<bool> is_posted{false};            // the node is in an inbox
  std::atomic<SignalWatcher*> watcher{nullptr};  // used on its hub only
  std::atomic<SignalWatcher::Notice> notice{nullptr};

  static SignalSlot* of(int signal) noexcept {
    static SignalSlot slots[NSIG];
    return signal > 0 && signal < NSIG ? &slots[signal] : nullptr;
  }

  // In the signal handler, on any thread: async-signal-safe.
  static void handle(int signal) noexcept {
    const int saved_errno = errno;
    SignalSlot& slot = *of(signal);
    if (const SignalWatcher::Notice notice = slot.notice) notice();
    if (Port* port = slot.port.load(); port && !slot.is_posted.exchange(true)) {
      slot.deliver = &deliver_signal;
      if (!port->push_from_signal_handler(slot)) slot.is_posted = false;
    }
    errno = saved_errno;
  }

  static void deliver_signal(Hub& hub, PostNode& node) {
    auto& slot = static_cast<SignalSlot&>(node);
    slot.is_posted = false;  // before the callback: what comes from now on is told again
    SignalWatcher* watcher = slot.watcher;
    if (watcher && &watcher->hub_ == &hub) watcher->callback_();
  }
};

namespace {

SignalSlot& claim(int signal, SignalWatcher& watcher) {
  SignalSlot* slot = SignalSlot::of(signal);
  if (!slot)
    throw std::system_error(EINVAL, std::system_category(),
                            "greenroom: signal " + std::to_string(signal));
  SignalWatcher* nobody = nullptr;
  if (!slot->watcher.compare_exchange_strong(nobody, &watcher))
    throw std::logic_error("greenroom: signal " + std::to_string(signal) +
                           " is watched already; one watcher can tell many");
  return *slot;
}

}  // namespace

SignalWatcher::SignalWatcher(int signal, std::function<void()> callback, Reference reference,
                             Notice notice)
    : hub_(Hub::current()),
      slot_(claim(signal, *this)),
      callback_(std::move(callback)),
      signal_(signal),
      previous_{} {
  slot_.port = &hub_.port();
  slot_.notice = notice;
  set_reference(reference);
  struct sigaction action {};
  action.sa_handler = &SignalSlot::handle;
  // On the alternate stack, if the thread has one: a greenlet's own may be small.
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  if (::sigaction(signal, &action, &previous_) != 0) {
    const int error = errno;
    slot_.notice = nullptr;
    slot_.port = nullptr;
    slot_.watcher = nullptr;
    throw std::system_error(error, std::system_category(),
                            "greenroom: signal " + std::to_string(signal));
  }
}

SignalWatcher::~SignalWatcher() {
  ::sigaction(signal_, &previous_, nullptr);
  slot_.notice = nullptr;
  slot_.port = nullptr;
  slot_.watcher = nullptr;
}

void SignalWatcher::set_reference(Reference reference) {
  hold_ = reference == Reference::hold ? hub_.hold() : Hold();
}

}  // namespace greenroom::detail
