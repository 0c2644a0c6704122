// Reports: whole and in order, whatever ends the process.
#include "greenroom/scheduler/trace/report_writer.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/system/futex.h"
#include "greenroom/scheduler/trace/overflow_report.h"

namespace report_writer_test {  // its functions are no part of the runtime, which stacks leave out
namespace {

using namespace greenroom::detail;

constexpr const char* all_of_them =
    "^first\n(    at .*\n)*    at .*report_writer_test.cc:[0-9]+\n(    at .*\n)*after the first\n"
    "second\nthird\n    at ";

[[gnu::noinline]] void make_reports() {
  const StackTrace trace = capture_stack_trace();
  write_report(LookUp::elsewhere, "first\n", &trace, "after the first\n");
  write_in_order("second\n");
  write_report(LookUp::elsewhere, "third\n", &trace);
}

TEST(ReportWriter, HasWrittenAllAtAnExit) {
  EXPECT_EXIT(
      {
        make_reports();
        std::exit(7);
      },
      testing::ExitedWithCode(7), all_of_them);
}

TEST(ReportWriter, HasWrittenAllAtAnAbort) {
  EXPECT_EXIT(
      {
        make_reports();
        std::abort();
      },
      testing::KilledBySignal(SIGABRT), all_of_them);
}

TEST(ReportWriter, HasWrittenAllAtATerminate) {
  EXPECT_EXIT(
      {
        make_reports();
        std::terminate();
      },
      testing::KilledBySignal(SIGABRT), &all_of_them[1]);  // terminate speaks first
}

TEST(ReportWriter, HasWrittenAllAtAFaultThatEndsTheProcess) {
  EXPECT_EXIT(
      {
        ::signal(SIGSEGV, SIG_DFL);  // a sanitizer has a handler, and is asked then
        install_overflow_report_for_this_thread();
        make_reports();
        auto* nowhere = reinterpret_cast<volatile char*>(std::uintptr_t{4096});
        *nowhere = 1;
      },
      testing::KilledBySignal(SIGSEGV), all_of_them);
}

TEST(ReportWriter, LeavesAHandlerOfAbortsThatWasThereItsTurn) {
  EXPECT_EXIT(
      {
        ::signal(SIGABRT, [](int) { ::_exit(9); });
        make_reports();
        std::abort();
      },
      testing::ExitedWithCode(9), all_of_them);
}

TEST(ReportWriter, StillWritesWhatIsReportedAfterTheEndHasBegun) {
  EXPECT_EXIT(
      {
        std::atexit([] { write_in_order("fourth\n"); });
        std::atexit([] { make_reports(); });
        make_reports();
        std::exit(7);
      },
      testing::ExitedWithCode(7), "third\n(.|\n)*first\n(.|\n)*third\n    at (.|\n)*fourth\n$");
}

constinit std::atomic<std::uint32_t> is_called{0};

void wait_until_called() {
  while (is_called == 0) futex_wait(is_called, std::uint32_t{0}, no_deadline);
}

TEST(ReportWriter, WritesAddressesAtAnAbortWhereItsThreadIsStuck) {
  EXPECT_EXIT(
      {
        call_when_quiet([]() noexcept {
          is_called = 1;
          futex_wake_all(is_called);
          for (;;) ::pause();
        });
        wait_until_called();
        make_reports();
        std::abort();
      },
      testing::KilledBySignal(SIGABRT),
      "^first\n    at report_writer_test\\+0x[0-9a-f]+\n(    at .*\n)*after the "
      "first\nsecond\nthird\n"
      "    at ");
}

TEST(ReportWriter, CallsBackOnceAllIsQuiet) {
  EXPECT_EXIT(
      {
        call_when_quiet([]() noexcept {
          write_in_order("quiet\n");
          is_called = 1;
          futex_wake_all(is_called);
        });
        make_reports();
        wait_until_called();
        std::_Exit(7);
      },
      testing::ExitedWithCode(7), "third\n(    at .*\n)+quiet\n$");
}

TEST(ReportWriter, LooksUpInTheCallWhereThatIsWanted) {
  testing::internal::CaptureStderr();
  make_reports();
  const StackTrace trace = capture_stack_trace();
  write_report(LookUp::here, "fourth\n", &trace, "end\n");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_LT(text.find("third\n"), text.find("fourth\n    at ")) << text;
  EXPECT_TRUE(text.ends_with("\nend\n")) << text;
}

TEST(ReportWriter, IsWaitedFor) {
  testing::internal::CaptureStderr();
  make_reports();
  EXPECT_TRUE(wait_for_reports());
  EXPECT_NE(testing::internal::GetCapturedStderr().find("third\n    at "), std::string::npos);
}

TEST(ReportWriter, KeepsEachReportWholeAndThoseOfAThreadInOrder) {
  constexpr int threads = 4;
  constexpr int reports = 50;
  testing::internal::CaptureStderr();
  std::vector<std::thread> makers;
  makers.reserve(threads);
  for (int thread = 0; thread < threads; ++thread) {
    makers.emplace_back([thread] {
      const StackTrace trace = capture_stack_trace();
      for (int i = 0; i < reports; ++i) {
        const std::string name = std::to_string(thread) + "/" + std::to_string(i);
        write_report(LookUp::elsewhere, "begin " + name + "\n", &trace, "end " + name + "\n");
      }
    });
  }
  for (std::thread& maker : makers) maker.join();
  EXPECT_TRUE(wait_for_reports());
  const std::string text = testing::internal::GetCapturedStderr();
  for (int thread = 0; thread < threads; ++thread) {
    std::size_t at = 0;
    for (int i = 0; i < reports; ++i) {
      const std::string name = std::to_string(thread) + "/" + std::to_string(i) + "\n";
      at = text.find("begin " + name, at);
      ASSERT_NE(at, std::string::npos) << name;
      const std::size_t end = text.find("end ", at);
      EXPECT_EQ(text.compare(end, 4 + name.size(), "end " + name), 0) << name;
    }
  }
}

std::size_t thread_count() {
  const std::filesystem::directory_iterator all("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

TEST(ReportWriter, HasNoThreadInAForkedChildAndWritesNothingTwice) {
  testing::internal::CaptureStderr();
  make_reports();
  const std::size_t with_a_writer = thread_count();  // and a sanitizer's
  const ::pid_t child = ::fork();
  if (child == 0) {
    const std::size_t threads = thread_count();
    write_in_order("the child\n");
    make_reports();
    if (!wait_for_reports()) ::_exit(2);
    ::_exit(threads < with_a_writer ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  make_reports();
  EXPECT_TRUE(wait_for_reports());
  const std::string text = testing::internal::GetCapturedStderr();
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find("second\n", at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(count, 3U) << text;
}

}  // namespace
}  // namespace report_writer_test
