#include "greenroom/io/poll/signal_watcher.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <thread>

#include "greenroom/tests/io/hang_guard.h"
#include "greenroom/tests/io/loopback.h"

namespace greenroom::detail {
namespace {

using namespace std::chrono_literals;

[[maybe_unused]] const bool is_guarded = hang_guard::fail_tests_that_hang();

// From another thread, to the one that has the hub: the caller would be as good a target, and the
// thread sanitizer drops what reaches a thread that is about to end.
void signal_process() {
  sigset_t signal;
  sigemptyset(&signal);
  sigaddset(&signal, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &signal, nullptr);
  ::kill(::getpid(), SIGUSR1);
}

void signal_process_when_asleep(const Port& port) {
  while (!port.is_asleep()) std::this_thread::yield();
  signal_process();
}

TEST(SignalWatcher, RunsItsCallbackAsHubWork) {
  green::Event came;
  bool was_hub_work = false;
  const SignalWatcher watcher(
      SIGUSR1,
      [&] {
        was_hub_work = green::get_hub().current_task() == nullptr;
        came.set();
      },
      SignalWatcher::Reference::hold);
  ::raise(SIGUSR1);
  EXPECT_FALSE(came.is_set());
  came.wait();
  EXPECT_TRUE(was_hub_work);
}

TEST(SignalWatcher, WakesAHubThatSleeps) {
  green::Event came;
  const SignalWatcher watcher(
      SIGUSR1, [&] { came.set(); }, SignalWatcher::Reference::hold);
  std::thread other(&signal_process_when_asleep, std::ref(green::get_hub().port()));
  came.wait();
  other.join();
}

TEST(SignalWatcher, WakesAHubThatWaitsForDescriptors) {
  tcp::Stream client;
  tcp::Stream server = loopback::connected_to(client);
  auto reader = green::spawn([&] { loopback::read_some_text(server); });
  green::Event came;
  const SignalWatcher watcher(SIGUSR1, [&] { came.set(); });
  std::thread other(&signal_process_when_asleep, std::ref(green::get_hub().port()));
  came.wait();
  other.join();
  reader.kill();
}

TEST(SignalWatcher, ReachesAHubThatNeverRunsOutOfWork) {
  bool came = false;
  const SignalWatcher watcher(SIGUSR1, [&] { came = true; });
  ::raise(SIGUSR1);
  while (!came) yield();
}

TEST(SignalWatcher, TellsOfEverySignalThatComesAfterTheLastWasTold) {
  int count = 0;
  const SignalWatcher watcher(SIGUSR1, [&] { ++count; });
  for (int i = 1; i <= 100; ++i) {
    ::raise(SIGUSR1);
    while (count < i) yield();
  }
  EXPECT_EQ(count, 100);
}

TEST(SignalWatcher, WithoutAReferenceItKeepsNoHubWaiting) {
  const SignalWatcher watcher(SIGUSR1, [] {});
  green::Event never;
  EXPECT_THROW(never.wait(), green::LoopExit);
}

TEST(SignalWatcher, SecondWatcherOfASignalIsRefused) {
  const SignalWatcher watcher(SIGUSR1, [] {});
  EXPECT_THROW(SignalWatcher(SIGUSR1, [] {}), std::logic_error);
  EXPECT_NO_THROW(SignalWatcher(SIGUSR2, [] {}));
}

TEST(SignalWatcher, ImpossibleSignalIsRefused) {
  EXPECT_THROW(SignalWatcher(0, [] {}), std::system_error);
  EXPECT_THROW(SignalWatcher(1000, [] {}), std::system_error);
  EXPECT_THROW(SignalWatcher(SIGKILL, [] {}), std::system_error);
  EXPECT_THROW(SignalWatcher(SIGKILL, [] {}), std::system_error);
}

int handled = 0;

TEST(SignalWatcher, PutsTheFormerHandlerBack) {
  ::signal(SIGUSR1, [](int) { ++handled; });
  {
    const SignalWatcher watcher(SIGUSR1, [] {});
  }
  ::raise(SIGUSR1);
  EXPECT_EQ(handled, 1);
  ::signal(SIGUSR1, SIG_DFL);
}

TEST(SignalWatcher, IsNotToldOfWhatCameBeforeItWasMade) {
  int first = 0;
  int second = 0;
  {
    const SignalWatcher watcher(SIGUSR1, [&] { ++first; });
    ::raise(SIGUSR1);
  }
  yield();
  const SignalWatcher watcher(SIGUSR1, [&] { ++second; });
  loopback::settle();
  ::raise(SIGUSR1);
  while (second == 0) yield();
  EXPECT_EQ(first, 0);
  EXPECT_EQ(second, 1);
}

}  // namespace
}  // namespace greenroom::detail
