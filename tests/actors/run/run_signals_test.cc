// run under signals, in processes of their own: what SIGINT, SIGTERM and SIGQUIT do to it.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <string>
#include <thread>

#include "greenroom/actors/run/run.h"
#include "greenroom/tests/actors/noted.h"
#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

// What the process that runs body ended with; once it has written a byte to the descriptor it is
// sent each of the signals in turn.
int exit_code_of(const std::function<int(int ready)>& body, std::initializer_list<int> signals) {
  int pipe_ends[2];
  EXPECT_EQ(pipe(pipe_ends), 0);
  const pid_t process = fork();
  if (process == 0) {
    close(pipe_ends[0]);
    alarm(20);
    std::thread([&] { _exit(body(pipe_ends[1])); }).join();  // a thread without a hub so far
  }
  close(pipe_ends[1]);
  for (const int signal : signals) {
    char byte = 0;
    EXPECT_EQ(read(pipe_ends[0], &byte, 1), 1);
    kill(process, signal);
  }
  int status = 0;
  EXPECT_EQ(waitpid(process, &status, 0), process);
  close(pipe_ends[0]);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void write_byte(int descriptor) { EXPECT_EQ(write(descriptor, "x", 1), 1); }

class RunUnderSignal : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Signals, RunUnderSignal, testing::Values(SIGTERM, SIGINT));

TEST_P(RunUnderSignal, EndsTheBodyAndReturnsZero) {
  EXPECT_EQ(exit_code_of(
                [](int ready) {
                  return run([ready] {
                    write_byte(ready);
                    sleep(1h);
                    return 5;
                  });
                },
                {GetParam()}),
            0);
}

TEST_P(RunUnderSignal, EndsATreeInOrder) {
  EXPECT_EQ(exit_code_of(
                [](int ready) {
                  std::string order;
                  const int code =
                      run({.hubs = 2},
                          supervisor({.children = {child({.id = "timer"}, [] { sleep(1h); }),
                                                   child<Noted>({.id = "a"}, &order, 'a'),
                                                   child<Noted>({.id = "b"}, &order, 'b'),
                                                   child<Noted>({.id = "c"}, &order, 'c',
                                                                std::function<void()>([ready] {
                                                                  write_byte(ready);
                                                                }))}}));
                  return code == 0 && order == "cba" ? 42 : 1;
                },
                {GetParam()}),
            42);
}

TEST_P(RunUnderSignal, EndsTheStartOfATree) {
  struct Database {
    explicit Database(int ready) {
      write_byte(ready);
      sleep(1h);
    }
    void handle(Go) {}
  };
  EXPECT_EQ(exit_code_of(
                [](int ready) {
                  return run(supervisor({.children = {child<Database>({.id = "db"}, ready)}}));
                },
                {GetParam()}),
            0);
}

TEST_P(RunUnderSignal, KillsAfterTheGrace) {
  EXPECT_EQ(exit_code_of(
                [](int ready) {
                  return run({.grace = 20ms}, [ready] {
                    trap_exits();
                    write_byte(ready);
                    for (;;) receive([](const Exit&) {}, after(1h, [] {}));
                  });
                },
                {GetParam()}),
            0);
}

TEST_P(RunUnderSignal, KillsAtOnceAtTheSecond) {
  EXPECT_EQ(exit_code_of(
                [](int ready) {
                  return run({.grace = 1h}, [ready] {
                    trap_exits();
                    write_byte(ready);
                    receive([](const Exit&) {}, after(1h, [] {}));
                    write_byte(ready);
                    for (;;) receive([](const Exit&) {}, after(1h, [] {}));
                  });
                },
                {GetParam(), GetParam()}),
            0);
}

TEST_P(RunUnderSignal, TheSecondShortensWhatTheEndTakes) {
  EXPECT_EQ(exit_code_of(
                [](int ready) {
                  return run({.hubs = 2, .grace = 1h}, [ready] {
                    const auto stubborn = [](int told) {
                      trap_exits();
                      if (told >= 0) write_byte(told);
                      receive([](const Exit&) {});
                      if (told >= 0) write_byte(told);
                      for (;;) receive([](const Exit&) {});
                    };
                    spawn(SpawnOptions{.place = Placement::next_hub}, stubborn, -1);
                    spawn(stubborn, ready);
                    sleep(1h);
                  });
                },
                {GetParam(), GetParam()}),
            0);
}

TEST_P(RunUnderSignal, LeavesAHubBehindThatAnActorNeverGivesUp) {
  EXPECT_EQ(exit_code_of(
                [](int ready) {
                  return run({.hubs = 2, .grace = 10ms}, [ready] {
                    spawn(SpawnOptions{.place = elsewhere()}, [ready] {
                      write_byte(ready);
                      for (std::atomic<bool> for_ever = true; for_ever;) {
                      }
                    });
                    sleep(1h);
                  });
                },
                {GetParam()}),
            0);
}

TEST(RunUnderQuit, WritesADumpAndGoesOn) {
  EXPECT_EQ(exit_code_of(
                [](int ready) {
                  if (!std::freopen("/dev/null", "w", stderr)) return 1;
                  return run({.dump_on_quit = true}, [ready] {
                    write_byte(ready);
                    sleep(50ms);
                    return 6;
                  });
                },
                {SIGQUIT}),
            6);
}

}  // namespace
}  // namespace greenroom
