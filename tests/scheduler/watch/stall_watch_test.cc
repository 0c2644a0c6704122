// The stall watch, on the real clock: each test that expects a report stalls until it is there.
#include "greenroom/scheduler/watch/stall_watch.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/greenlet/sleep.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/tests/scheduler/watch/stall.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;

// Before any hub asks for it.
[[maybe_unused]] const int limit_is_set = ::setenv("GREENROOM_STALL_MS", "20", 1);
constexpr auto far_over_the_limit = 150ms;

struct Cruncher {
  const Stderr* written;
  [[gnu::noinline]] void operator()() const { stall_until(*written, "has run for"); }
};

std::size_t thread_count() {
  const std::filesystem::directory_iterator threads("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(threads), end(threads)));
}

TEST(StallWatch, TellsOfAGreenletThatKeepsItsHubWithItsStack) {
  const Stderr written;
  green::spawn(Cruncher{&written}).get();
  const std::string text = written.text();
  EXPECT_NE(text.find("greenroom: greenlet greenroom::(anonymous namespace)::Cruncher has run for"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("stall_until("), std::string::npos) << text;
  EXPECT_NE(text.find("Cruncher::operator()"), std::string::npos) << text;
  EXPECT_NE(text.find("stall_watch_test.cc"), std::string::npos) << text;
}

TEST(StallWatch, TellsOnceOfEachSlice) {
  const Stderr written;
  green::spawn([&] {
    stall_until(written, "has run for", 1);
    stall_for(far_over_the_limit);
    EXPECT_EQ(written.count("has run for"), 1);
    yield();
    stall_until(written, "has run for", 2);
  }).get();
  EXPECT_EQ(written.count("has run for"), 2);
}

TEST(StallWatch, TellsOfHubWork) {
  const Stderr written;
  bool is_done = false;
  green::get_hub().post([&] {
    stall_until(written, "greenroom: hub work has run for");
    is_done = true;
  });
  while (!is_done) sleep(1ms);
}

TEST(StallWatch, TellsOfTheRootWhenOthersWaitForIt) {
  const Stderr written;
  const auto other = green::spawn([] { sleep(1ms); });
  yield();
  stall_until(written, "greenroom: root greenlet has run for");
  other.get();
}

TEST(StallWatch, DoesNotTellOfARootThatIsAlone) {
  const Stderr written;
  sleep(1ms);
  stall_for(far_over_the_limit);
  EXPECT_EQ(written.text(), "");
}

TEST(StallWatch, DoesNotTellOfAGreenletThatYields) {
  const Stderr written;
  green::spawn([] {
    const auto end = std::chrono::steady_clock::now() + far_over_the_limit;
    while (std::chrono::steady_clock::now() < end) yield();
  }).get();
  EXPECT_EQ(written.text(), "");
}

TEST(StallWatch, TellsOfAHubOnAnotherThread) {
  const Stderr written;
  std::thread([&] { green::spawn(Cruncher{&written}).get(); }).join();
}

TEST(StallWatch, TellsOfAThreadThatDoesNotAnswer) {
  const Stderr written;
  green::spawn([&] {
    sigset_t urgent;
    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    pthread_sigmask(SIG_BLOCK, &urgent, nullptr);
    stall_until(written, "its thread does not answer SIGURG");
    pthread_sigmask(SIG_UNBLOCK, &urgent, nullptr);  // the late signal finds its question withdrawn
  }).get();
  EXPECT_EQ(written.count("has run for"), 0);
}

TEST(StallWatch, IsNoThreadMoreInAForkedChildUntilAHubThereIsBusy) {
  const Stderr written;
  sleep(1ms);
  const ::pid_t child = ::fork();
  if (child == 0) {
    if (thread_count() != 1) ::_exit(1);
    green::spawn([&] { stall_until(written, "has run for"); }).get();
    ::_exit(::testing::Test::HasFailure() ? 2 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  // And goes on here.
  green::spawn([&] { stall_until(written, "has run for", 2); }).get();
}

// Waits in the kernel until that is on stderr, and says what poll() said then.
[[gnu::noinline]] int poll_until(const Stderr& written, const std::string& words) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  std::thread other([&] {
    stall_until(written, words);
    EXPECT_EQ(::write(ends[1], "x", 1), 1);
  });
  pollfd file{.fd = ends[0], .events = POLLIN, .revents = 0};
  const int result = ::poll(&file, 1, -1);
  other.join();
  ::close(ends[0]);
  ::close(ends[1]);
  return result;
}

TEST(StallWatch, TellsOfASystemCallAndDoesNotCutItShort) {
  const Stderr written;
  green::spawn([&] { EXPECT_EQ(poll_until(written, "poll_until("), 1); }).get();
  const std::string text = written.text();
  EXPECT_NE(text.find("greenroom: greenlet greenroom::(anonymous namespace)::StallWatch_"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("; it is in a system call"), std::string::npos) << text;
  EXPECT_NE(text.find("stall_watch_test.cc"), std::string::npos) << text;
  EXPECT_EQ(written.count("has run for"), 1);
}

TEST(StallWatch, TellsOfTheNextStallAfterASystemCall) {
  const Stderr written;
  const auto first = green::spawn([&] { EXPECT_EQ(poll_until(written, "has run for"), 1); });
  const auto second = green::spawn([&] { stall_until(written, "has run for", 2); });
  first.get();
  second.get();
}

// What it says of the last milliseconds is true: blocking calls end a slice before.
TEST(StallWatch, DoesNotTellOfAGreenletWhoseBlockingCallsFindWhatTheyAskFor) {
  const Stderr written;
  green::spawn([] {
    green::Lock lock;
    const auto end = std::chrono::steady_clock::now() + far_over_the_limit;
    while (std::chrono::steady_clock::now() < end) {
      const std::lock_guard guard(lock);
      stall_for(1ms);
    }
  }).get();
  EXPECT_EQ(written.text(), "");
}

TEST(StallWatch, OfZeroTellsOfNothing) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        ::setenv("GREENROOM_STALL_MS", "0", 1);
        green::spawn([] { stall_for(far_over_the_limit); }).get();
        std::fputs("done\n", stderr);
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0), "^done\n$");
}

TEST(StallWatch, OfZeroStillEndsLongSlices) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        ::setenv("GREENROOM_STALL_MS", "0", 1);
        int turns = 0;
        bool has_other_run = false;
        const auto first = green::spawn([&] {
          green::Lock lock;
          for (; turns < 1000 && !has_other_run; ++turns) {
            const std::lock_guard guard(lock);
            stall_for(1ms);
          }
        });
        green::spawn([&] { has_other_run = true; });
        first.get();
        std::_Exit(turns > 0 && turns < 1000 ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(StallWatch, SaysWhatItWantsWhenTheLimitIsNoNumber) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  for (const char* bad : {"soon", "-1", "10ms", "99999999999999999999"}) {
    EXPECT_EXIT(
        {
          ::setenv("GREENROOM_STALL_MS", bad, 1);
          sleep(1ms);
          std::_Exit(0);
        },
        ::testing::ExitedWithCode(0), "it must be a number of milliseconds from 0");
  }
}

}  // namespace
}  // namespace greenroom
