#include "greenroom/tests/actors/probe.h"

namespace greenroom::probe {

void on_hubs(int hubs, std::function<void()> body) {
  set_crash_logger([](const CrashReport&) {});
  const int code = run({.hubs = hubs}, [&body] {
    try {
      body();
    } catch (const std::exception& error) {
      ADD_FAILURE() << "the test's actor died: " << error.what();
    }
  });
  EXPECT_EQ(code, 0) << "the test's actor died";
  set_crash_logger({});
}

Placement elsewhere() {
  // Hubs come in turn: after this one comes the other.
  while (spawn(SpawnOptions{.place = Placement::next_hub}, [] {}).hub != self().hub) {
  }
  return Placement::next_hub;
}

testing::AssertionResult has_no_mail() {
  return receive(
      [](Message& message) {
        return testing::AssertionFailure() << "there is a " << message.type_name();
      },
      after(0s, [] { return testing::AssertionSuccess(); }));
}

ExitReason end_of(MonitorRef ref) {
  return receive(when([ref](const Down& down) { return down.ref == ref; },
                      [](const Down& down) { return down.reason; }),
                 after(patience, []() -> ExitReason { throw std::runtime_error("no Down came"); }));
}

void wait_for_state(Pid pid, const std::string& state) {
  wait_until([&] { return process_info(pid).state == state; });
}

void wait_until(const std::function<bool()>& condition) {
  const auto deadline = clock::now() + patience;
  while (!condition()) {
    if (clock::now() > deadline)
      throw std::runtime_error("the state that was waited for never came");
    yield();
  }
}

}  // namespace greenroom::probe
