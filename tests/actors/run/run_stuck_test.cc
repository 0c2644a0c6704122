// run() under signals while its hub is stuck, in processes of their own: they end all the same, and
// only then.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <ostream>
#include <string>
#include <thread>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/system/sanitizers.h"
#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;

struct End {
  int code = 0;  // or the signal that it died of, negative
  std::string report;
};

// How the process ends that runs body; once it has written a byte to the descriptor it is sent each
// of the signals in turn, of which it may hear of several at once.
End end_of(const std::function<int(int ready)>& body, std::initializer_list<int> signals) {
  int ready[2];
  int report[2];
  EXPECT_EQ(pipe(ready), 0);
  EXPECT_EQ(pipe(report), 0);
  const pid_t process = fork();
  if (process == 0) {
    close(ready[0]);
    dup2(report[1], STDERR_FILENO);
    alarm(60);
    std::thread([&] { _exit(body(ready[1])); }).join();  // a thread without a hub so far
  }
  close(ready[1]);
  close(report[1]);
  char byte = 0;
  EXPECT_EQ(read(ready[0], &byte, 1), 1);
  for (const int signal : signals) kill(process, signal);
  End end;
  char text[512];
  for (ssize_t size = 0; (size = read(report[0], text, sizeof text)) > 0;)
    end.report.append(text, static_cast<std::size_t>(size));
  int status = 0;
  EXPECT_EQ(waitpid(process, &status, 0), process);
  close(ready[0]);
  close(report[0]);
  end.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return end;
}

void write_byte(int descriptor) { EXPECT_EQ(write(descriptor, "x", 1), 1); }

[[gnu::noinline]] void spin() {
  for (std::atomic<bool> for_ever = true; for_ever;) {
  }
}
[[gnu::noinline]] void lock_twice() {
  std::mutex mutex;
  mutex.lock();
  mutex.lock();
}
[[gnu::noinline]] void poll_nothing() {
  for (;;) poll(nullptr, 0, -1);
}

struct Trap {
  const char* name;  // in the report as well
  void (*fall_in)();
};
std::ostream& operator<<(std::ostream& out, const Trap& trap) { return out << trap.name; }

struct Desk {
  struct Work {
    int ready;
    void (*fall_in)();
  };
  void handle(Work work) {
    write_byte(work.ready);
    work.fall_in();
    write_byte(work.ready);  // so that the call before is none that becomes a jump
  }
};

class StuckHub : public testing::TestWithParam<Trap> {};
INSTANTIATE_TEST_SUITE_P(Traps, StuckHub,
                         testing::Values(Trap{"spin", &spin}, Trap{"lock_twice", &lock_twice},
                                         Trap{"poll_nothing", &poll_nothing}),
                         [](const auto& info) { return std::string(info.param.name); });

int run_desk(const RunOptions& options, int ready, void (*fall_in)()) {
  return run(options, [=] {
    cast(start<Desk>(SpawnOptions{.name = "desk"}), Desk::Work{ready, fall_in});
    sleep(1h);
  });
}

TEST_P(StuckHub, EndsTheProcessWhenTheGraceIsOverAndSaysWhoHoldsIt) {
  const End end = end_of(
      [](int ready) { return run_desk({.grace = 10ms}, ready, GetParam().fall_in); }, {SIGTERM});
  EXPECT_EQ(end.code, 1);
  EXPECT_NE(end.report.find("its grace is over"), std::string::npos) << end.report;
  EXPECT_NE(end.report.find("'desk' "), std::string::npos) << end.report;
  EXPECT_NE(end.report.find("Desk holds the hub"), std::string::npos) << end.report;
#if !GREENROOM_ASAN  // its frames align their stack
  EXPECT_NE(end.report.find(GetParam().name + std::string("()")), std::string::npos) << end.report;
#endif
}

TEST_P(StuckHub, EndsTheProcessAtTheSecondSignal) {
  const End end =
      end_of([](int ready) { return run_desk({.grace = 1h}, ready, GetParam().fall_in); },
             {SIGINT, SIGTERM});
  EXPECT_EQ(end.code, 1);
  EXPECT_NE(end.report.find("a second signal"), std::string::npos) << end.report;
}

TEST_P(StuckHub, EndsTheProcessWithoutReportsOfStallsAsWell) {
  const End end = end_of(
      [](int ready) {
        setenv("GREENROOM_STALL_MS", "0", 1);
        return run_desk({.grace = 10ms}, ready, GetParam().fall_in);
      },
      {SIGTERM});
  EXPECT_EQ(end.code, 1);
  EXPECT_NE(end.report.find("Desk holds the hub"), std::string::npos) << end.report;
}

TEST_P(StuckHub, EndsTheProcessInAnEndThatHasBegun) {
  const End end = end_of(
      [](int ready) {
        return run({.grace = 500ms}, [ready] {
          trap_exits();
          write_byte(ready);
          receive([](const Exit&) {}, after(1h, [] {}));
          GetParam().fall_in();
        });
      },
      {SIGTERM});
  EXPECT_EQ(end.code, 1);
  EXPECT_NE(end.report.find("holds the hub"), std::string::npos) << end.report;
}

TEST_P(StuckHub, EndsTheProcessInASecondRun) {
  const End end = end_of(
      [](int ready) {
        if (run([] { return 7; }) != 7) return 2;
        return run_desk({.hubs = 2, .grace = 10ms}, ready, GetParam().fall_in);
      },
      {SIGTERM});
  EXPECT_EQ(end.code, 1);
}

// What hub 0 does itself, in many slices, takes as long as it takes.
TEST(HubThatMoves, IsNotCutShort) {
  const End end = end_of(
      [](int ready) {
        bool is_cleaned = false;
        run({.grace = 10ms}, [ready, &is_cleaned] {
          write_byte(ready);
          try {
            sleep(1h);
          } catch (...) {
            const Uncancellable until_clean;
            const auto end = std::chrono::steady_clock::now() + 1500ms;
            while (std::chrono::steady_clock::now() < end) yield();
            is_cleaned = true;
            throw;
          }
        });
        return is_cleaned ? 42 : 1;
      },
      {SIGTERM, SIGTERM});
  EXPECT_EQ(end.code, 42) << end.report;
}

TEST(HubThatMoves, IsNotHeldResponsibleForAnotherHub) {
  const End end = end_of(
      [](int ready) {
        return run({.hubs = 2, .grace = 10ms}, [ready] {
          spawn(SpawnOptions{.place = probe::elsewhere()}, [ready] {
            write_byte(ready);
            spin();
          });
          sleep(1h);
        });
      },
      {SIGTERM, SIGTERM});
  EXPECT_EQ(end.code, 0) << end.report;
  EXPECT_NE(end.report.find("its thread is left behind"), std::string::npos) << end.report;
}

TEST(HubThatMoves, WaitsForAThreadThatStillEndsItsHub) {
  const End end = end_of(
      [](int ready) {
        return run({.hubs = 2, .grace = 10ms}, [ready] {
          spawn(SpawnOptions{.place = probe::elsewhere()}, [ready] {
            const Uncancellable unkillable;
            write_byte(ready);
            const auto end = std::chrono::steady_clock::now() + 4s;
            while (std::chrono::steady_clock::now() < end) sleep(1ms);
          });
          sleep(1h);
        });
      },
      {SIGTERM});
  EXPECT_EQ(end.code, 0) << end.report;
}

TEST(HubThatMoves, IsNotAskedAfterItsRun) {
  const End end = end_of(
      [](int ready) {
        const int code = run({.grace = 10ms}, [ready] {
          write_byte(ready);
          sleep(1h);
        });
        std::this_thread::sleep_for(1500ms);  // the hub stands still, and may
        return code == 0 ? 42 : 1;
      },
      {SIGTERM});
  EXPECT_EQ(end.code, 42) << end.report;
}

}  // namespace
}  // namespace greenroom
