// Crash reports: who gets one, what is in it, and how many there are under a storm.

#include "greenroom/actors/core/crash_report.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/scheduler/system/sanitizers.h"
#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace crash_report_test {

// With names that can be looked up, and too different to be merged.
[[gnu::noinline]] void pour_tea(int cups) {
  if (cups > 2) throw std::runtime_error("out of tea");
  asm volatile("");
}
[[gnu::noinline]] void serve_table(int cups) {
  pour_tea(cups + 1);
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] void open_tea_house(int cups) {
  serve_table(cups + 1);
  asm volatile("nop");
}
[[gnu::noinline]] void fill_the_kettle() { asm volatile("nop"); }
[[gnu::noinline]] int look_beyond_the_end(const std::vector<int>& list) {
  const int n = list.at(list.size() + 5);
  asm volatile("nop; nop");
  return n;
}

namespace {

using namespace probe;

struct Go {};

// Keeps what is reported while it lives. Reports are made on any hub.
class Reports {
 public:
  Reports() {
    set_crash_logger([this](const CrashReport& report) {
      const std::lock_guard lock(mutex_);
      all_.push_back(report);
    });
  }
  ~Reports() { set_crash_logger({}); }
  std::vector<CrashReport> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(all_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<CrashReport> all_;
};

// The one report that the end of an actor running f makes.
template <class F>
CrashReport report_of(F f, SpawnOptions options = {}) {
  Reports reports;
  end_of(spawn_monitor(std::move(options), std::move(f)));
  const auto all = reports.take();
  EXPECT_EQ(all.size(), 1U);
  return all.empty() ? CrashReport() : all[0];
}

TEST(CrashReport, ShowsTheFunctionsThatLedToAThrow) {
  in_actor([] {
    const std::string text = report_of([] { open_tea_house(1); }).to_text();
    for (const char* part : {"out of tea", "pour_tea", "serve_table", "open_tea_house"})
      EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
  });
}

TEST(CrashReport, ShowsWhoCalledALibrarysFunctionThatThrew) {
  in_actor([] {
    const std::string text = report_of([] {
                               look_beyond_the_end(std::vector<int>{1, 2, 3});
                             }).to_text();
    EXPECT_NE(text.find("look_beyond_the_end"), std::string::npos) << text;
    EXPECT_NE(text.find("out_of_range"), std::string::npos) << text;
  });
}

// Its stack is one line: with its place in this file, or with a function that is named after it and
// no place at all.
void expect_shows_lambda_at(int line, const std::string& text) {
  const std::size_t stack = text.find("    at ");
  ASSERT_NE(stack, std::string::npos) << text;
  EXPECT_EQ(text.find("    at ", stack + 1), std::string::npos) << text;
  const bool has_place = text.find(".cc:", stack) != std::string::npos;
  const std::string expected =
      has_place ? "crash_report_test.cc:" + std::to_string(line) + "\n" : "lambda";
  EXPECT_NE(text.find(expected, stack), std::string::npos) << text;
}

// Inlined into the runtime, where the compiler puts their throws aside.
TEST(CrashReport, ShowsALambdaThatThrowsWithoutAnothersLine) {
  in_actor([] {
    int line = __LINE__ + 1;
    std::string text = report_of([] { throw std::runtime_error("no tea"); }).to_text();
    expect_shows_lambda_at(line, text);

    line = __LINE__ + 3;
    text = report_of([] {
             fill_the_kettle();
             throw std::runtime_error("no cup");
           }).to_text();
    expect_shows_lambda_at(line, text);
  });
}

TEST(CrashReport, ShowsTheThrowOfAnExceptionThatWasRethrownLater) {
  in_actor([] {
    const CrashReport report = report_of([] {
      std::exception_ptr kept;
      try {
        open_tea_house(1);
      } catch (...) {
        kept = std::current_exception();
      }
      yield();
      std::rethrow_exception(kept);
    });
    EXPECT_NE(report.reason.stack().find("pour_tea"), std::string::npos) << report.reason.stack();
  });
}

TEST(CrashReport, ShowsAServersHandler) {
  in_actor([] {
    struct TeaServer {
      void handle(Go) { open_tea_house(1); }
    };
    Reports reports;
    const auto server = start<TeaServer>(SpawnOptions{.name = "tea"});
    cast(server, Go{});
    end_of(server.pid());
    wait_until([&] { return !is_alive(server.pid()); });
    const auto all = reports.take();
    ASSERT_EQ(all.size(), 1U);
    const std::string text = all[0].to_text();
    for (const char* part : {"'tea'", "TeaServer", "pour_tea", "out of tea"})
      EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
  });
}

TEST(CrashReport, TellsWhoItWasWithItsParentLinksAndMail) {
  in_actor([] {
    trap_exits();
    Reports reports;
    const Pid crashed = spawn_link(SpawnOptions{.name = "waiter", .label = "tea waiter"}, [] {
      receive([](Go) {});
      throw std::runtime_error("no");
    });
    for (int i = 0; i < 3; ++i) send(crashed, i);
    send(crashed, std::string("order"));
    send(crashed, Go{});
    next<Exit>();
    const auto all = reports.take();
    ASSERT_EQ(all.size(), 1U);
    const CrashReport& report = all[0];
    EXPECT_EQ(report.pid, crashed);
    EXPECT_EQ(report.parent, self());
    EXPECT_EQ(report.names, std::vector<std::string>{"waiter"});
    EXPECT_NE(report.description.find("tea waiter"), std::string::npos);
    EXPECT_EQ(report.links, std::vector<Pid>{self()});
    EXPECT_EQ(report.reason, Reason::error);
    EXPECT_EQ(report.mailbox_size, 4U);
    EXPECT_EQ(report.mailbox_types.at("int"), 3U);
    const std::string text = report.to_text();
    for (const std::string& part :
         {std::string("'waiter'"), self().to_string(), std::string("4 messages")})
      EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
  });
}

TEST(CrashReport, SummarizesAHugeMailboxWithoutReadingAllOfIt) {
  in_actor([] {
    Reports reports;
    const Monitored crashed = spawn_monitor([] {
      receive([](Go) {});
      stop(ExitReason("boom"));
    });
    for (int i = 0; i < 5000; ++i) send(crashed.pid, i);
    send(crashed.pid, Go{});
    end_of(crashed);
    const auto all = reports.take();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].mailbox_size, 5000U);
    EXPECT_EQ(all[0].mailbox_types.at("int"), 1000U);
    EXPECT_LT(all[0].to_text().size(), 2000U);
  });
}

TEST(CrashReport, HasAJsonForm) {
  in_actor([] {
    const CrashReport report =
        report_of([] { open_tea_house(1); }, SpawnOptions{.name = "with \"quotes\"\n\xff"});
    const std::string line = report.to_json();
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const auto json = nlohmann::json::parse(line);
    EXPECT_EQ(json["pid"], report.pid.to_string());
    EXPECT_EQ(json["parent"], self().to_string());
    EXPECT_NE(json["reason"].get<std::string>().find("out of tea"), std::string::npos);
    EXPECT_NE(json["stack"].get<std::string>().find("pour_tea"), std::string::npos);
    EXPECT_EQ(json["names"].size(), 1U);
    EXPECT_EQ(json["mailbox"]["size"], 0);
    EXPECT_TRUE(json["links"].is_array());
  });
}

TEST(CrashReport, IsNotMadeForQuietReasons) {
  in_actor([] {
    Reports reports;
    end_of(spawn_monitor([] {}));
    end_of(spawn_monitor([] { stop(Reason::normal); }));
    end_of(spawn_monitor([] { stop(Reason::shutdown); }));
    end_of(spawn_monitor([] { stop(ExitReason("shutdown", 5)); }));
    EXPECT_TRUE(reports.take().empty());
    end_of(spawn_monitor([] { stop(ExitReason("boom")); }));
    end_of(spawn_monitor([] { stop(ExitReason("normal", 5)); }));
    EXPECT_EQ(reports.take().size(), 2U);
  });
}

TEST(CrashReport, GoesToStderrByDefault) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(run([] { open_tea_house(1); }), 1);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("out of tea"), std::string::npos) << text;
  EXPECT_NE(text.find("pour_tea"), std::string::npos) << text;
}

TEST(CrashReport, OfALoggerThatThrowsEndsNobodyElse) {
  testing::internal::CaptureStderr();
  in_actor([] {
    set_crash_logger([](const CrashReport&) { throw std::runtime_error("bad logger"); });
    EXPECT_EQ(end_of(spawn_monitor([] { stop(ExitReason("boom")); })), ExitReason("boom"));
  });
  EXPECT_NE(testing::internal::GetCapturedStderr().find("could not be reported"),
            std::string::npos);
}

TEST(CrashReport, ComesBeforeALineThatWasLoggedAfterIt) {
  testing::internal::CaptureStderr();
  run([] {
    end_of(spawn_monitor([] { open_tea_house(1); }));
    detail::log_line("and then");
  });
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_LT(text.find("pour_tea"), text.find("greenroom: and then\n")) << text;
}

// These come last, as they use up what may be reported in a second.
TEST(CrashReportStorm, ReportsSomeOfThem) {
  in_actor([] {
    Reports reports;
    std::size_t crashes = 0;
    const auto crash = [&] {
      end_of(spawn_monitor([] { stop(ExitReason("boom")); }));
      ++crashes;
    };
    std::size_t made = 0;
    std::size_t left_out = 0;
    const auto count = [&] {
      for (const CrashReport& report : reports.take()) {
        ++made;
        left_out += report.left_out;
      }
    };
    for (int i = 0; i < 2000; ++i) crash();
    count();
    EXPECT_GE(made, 1U);
    EXPECT_LT(made, 1000U);
    // A later one tells of those that were left out.
    while (made + left_out < crashes) {
      sleep(10ms);
      crash();
      count();
    }
    EXPECT_EQ(made + left_out, crashes);
    // What is no crash is not hidden by crashes.
    testing::internal::CaptureStderr();
    for (int i = 0; i < 200; ++i) end_of(spawn_monitor([] { stop(ExitReason("boom")); }));
    detail::log_line("why it gave up");
    EXPECT_NE(testing::internal::GetCapturedStderr().find("why it gave up"), std::string::npos);
  });
}

int sum_of_left_out(const std::string& text) {
  int sum = 0;
  for (std::size_t at = 0; (at = text.find(" reports were left out", at)) != std::string::npos;
       ++at)
    sum += std::atoi(text.c_str() + text.rfind(' ', at - 1));
  return sum;
}

int count_of(const std::string& text, const std::string& words) {
  int count = 0;
  for (std::size_t at = 0; (at = text.find(words, at)) != std::string::npos; ++at) ++count;
  return count;
}

void crash_often(int times) {
  for (int i = 0; i < times; ++i) end_of(spawn_monitor([] { stop(ExitReason("boom")); }));
}

constexpr int many = 300;

// Nothing comes after them that could tell of those left out.
TEST(CrashReportStorm, IsToldOfInFullAtTheEndOfRun) {
  detail::tell_left_out();
  testing::internal::CaptureStderr();
  run([] { crash_often(many); });
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(count_of(text, " ended: boom\n") + sum_of_left_out(text), many) << text;
}

TEST(CrashReportStorm, IsToldOfInFullAtTheEndOfRunWhereThereIsALogger) {
  testing::internal::CaptureStderr();
  int told = 0;
  run([&] {
    Reports reports;
    crash_often(many);
    for (const CrashReport& report : reports.take()) told += 1 + static_cast<int>(report.left_out);
  });
  EXPECT_EQ(told + sum_of_left_out(testing::internal::GetCapturedStderr()), many);
}

TEST(CrashReportStorm, IsToldOfInFullAtTheEndOfTheProcess) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";  // the hub of a forked one is half there
  EXPECT_EXIT(
      {
        green::spawn([] { crash_often(many); }).get();
        std::exit(0);
      },
      testing::ExitedWithCode(0), "[0-9]+ reports were left out\n$");
}

#if !defined(GREENROOM_ASAN) && !defined(GREENROOM_TSAN)  // which have handlers of their own

class FatalSignal : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Signals, FatalSignal, testing::Values(SIGABRT, SIGSEGV, SIGFPE, SIGILL));

// As the processor raises them; abort() sends its own.
[[noreturn]] void end_by(int signal) {
  if (signal == SIGABRT) std::abort();
  volatile int zero = 0;
  if (signal == SIGFPE) zero = 1000 / zero;
  volatile std::uintptr_t nowhere = 4096;
  if (signal == SIGSEGV) *reinterpret_cast<volatile int*>(nowhere) = 1;
  __builtin_trap();
}

TEST_P(FatalSignal, ComesAfterWhatWasReportedAndHowManyWereLeftOut) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        green::spawn([] { crash_often(many); }).get();
        end_by(GetParam());
      },
      testing::KilledBySignal(GetParam()), " ended: boom\n(.|\n)*[0-9]+ reports were left out\n$");
}
#endif

}  // namespace
}  // namespace crash_report_test
}  // namespace greenroom
