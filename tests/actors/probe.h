// What the tests of actors share: a body run as the first actor of fresh hubs, and waits that fail
// the test instead of hanging. Their ten seconds end a hang; they order nothing.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <utility>

#include "greenroom/actors/actors.h"

namespace greenroom::probe {

using namespace std::chrono_literals;

inline constexpr auto patience = 10s;

// Runs body as the first actor of as many hubs; the test fails if it throws. Crash reports are
// dropped.
void on_hubs(int hubs, std::function<void()> body);
inline void in_actor(std::function<void()> body) { on_hubs(1, std::move(body)); }

// A hub of this run other than the caller's: `spawn({.place = elsewhere()}, ...)` starts there.
// For runs of two hubs.
Placement elsewhere();

// The next message of type T, as it comes.
template <class T>
T next() {
  return receive([](T message) { return message; }, after(patience, []() -> T {
                   throw std::runtime_error(std::string("no message of type ") + typeid(T).name());
                 }));
}

// The mailbox holds nothing; what it does hold is the failure's text.
testing::AssertionResult has_no_mail();

// Waits for that monitor's Down: the reason, with which the actor ended.
ExitReason end_of(MonitorRef ref);
inline ExitReason end_of(const Monitored& actor) { return end_of(actor.ref); }
inline ExitReason end_of(Pid pid) { return end_of(monitor(pid)); }

// Waits until the actor is in that state, as process_info tells it.
void wait_for_state(Pid pid, const std::string& state);
// Waits until the condition holds, giving others their turns.
void wait_until(const std::function<bool()>& condition);

// What f's exception was: its reason if f threw E, or a failure of the test.
template <class E, class F>
ExitReason reason_of(F f) {
  try {
    f();
  } catch (const E& error) {
    return error.reason();
  }
  ADD_FAILURE() << "nothing was thrown";
  return Reason::normal;
}

}  // namespace greenroom::probe
