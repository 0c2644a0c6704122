// run: what it returns, in which order it ends things, and what signals do to it.

#include "greenroom/actors/run.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

struct Go {};

// Writes its name down when it is told to end.
struct Noted {
  static constexpr bool trap_exits = true;
  Noted(
      std::string* text, char letter, std::function<void()> started = [] {})
      : order(text), name(letter) {
    started();
  }
  void handle(Go) {}
  void terminate(const ExitReason&) { *order += name; }
  std::string* order;
  char name;
};

// The tests of run itself: no probe::in_actor.
class Run : public testing::Test {
 protected:
  Run() {
    set_crash_logger([](const CrashReport&) {});
  }
  ~Run() override { set_crash_logger({}); }
};

TEST_F(Run, ReturnsTheBodysInt) {
  EXPECT_EQ(run([] { return 7; }), 7);
  EXPECT_EQ(run([] {}), 0);
  EXPECT_EQ(run([] { return true; }), 1);
}

TEST_F(Run, IsOneIfTheBodyDies) {
  EXPECT_EQ(run([] { throw std::runtime_error("no"); }), 1);
  EXPECT_EQ(run([] { stop(ExitReason("boom")); }), 1);
  EXPECT_EQ(run([] { exit(self(), Reason::kill); }), 1);
}

TEST_F(Run, IsTheBodysIfItStopsQuietly) {
  EXPECT_EQ(run([] { stop(Reason::normal); }), 0);
  EXPECT_EQ(run([] { stop(Reason::shutdown); }), 0);
}

TEST_F(Run, CanBeRepeatedWithAnyNumberOfHubs) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(run({.hubs = 1 + i % 3},
                  [] {
                    const Monitored other =
                        spawn_monitor(SpawnOptions{.place = Placement::next_hub}, [] {});
                    return end_of(other) == Reason::normal ? 5 : 6;
                  }),
              5);
  }
}

TEST_F(Run, RefusesNoHubsAndRunInsideRun) {
  EXPECT_THROW(run({.hubs = 0}, [] {}), std::invalid_argument);
  EXPECT_THROW(run({.hubs = 5000}, [] {}), std::invalid_argument);
  EXPECT_EQ(run([] {
              EXPECT_THROW(run([] {}), std::logic_error);
              green::spawn([] { EXPECT_THROW(run([] {}), std::logic_error); }).join();
            }),
            0);
}

TEST_F(Run, OfATreeEndsWithTheTree) {
  struct Child {
    explicit Child(ExitReason reason) : why(std::move(reason)) { send(self(), Go{}); }
    void handle(Message&) { stop(why); }
    ExitReason why;
  };
  // The last significant child ends it: no failure.
  EXPECT_EQ(
      run(supervisor({.auto_shutdown = AutoShutdown::any_significant,
                      .children = {child<Child>(
                          {.restart = Restart::temporary, .significant = true}, Reason::normal)}})),
      0);
}

TEST_F(Run, OfATreeThatCannotStartIsOneAndSaysWhy) {
  struct Broken {
    Broken() { throw std::runtime_error("out of tea"); }
    void handle(Go) {}
  };
  testing::internal::CaptureStderr();
  EXPECT_EQ(run(supervisor({.children = {child<Broken>({.id = "broken"})}})), 1);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("broken"), std::string::npos) << text;
  EXPECT_NE(text.find("out of tea"), std::string::npos) << text;
}

TEST_F(Run, OfATreeThatGivesUpIsOne) {
  struct Crashes {
    Crashes() { send(self(), Go{}); }
    void handle(Message&) { throw std::runtime_error("again"); }
  };
  testing::internal::CaptureStderr();
  EXPECT_EQ(run(supervisor({.intensity = 2, .children = {child<Crashes>({.id = "crashes"})}})), 1);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("crashes"), std::string::npos);
}

TEST_F(Run, EndsWhatIsLeftOnAllHubs) {
  for (const int hubs : {1, 3}) {
    int destroyed = 0;
    std::mutex mutex;
    struct Count {
      int& count;
      std::mutex& mutex;
      ~Count() {
        const std::lock_guard lock(mutex);
        ++count;
      }
    };
    EXPECT_EQ(run({.hubs = hubs},
                  [&] {
                    for (int i = 0; i < 30; ++i) {
                      spawn(SpawnOptions{.place = Placement::next_hub}, [&, test = self()] {
                        const Count count{destroyed, mutex};
                        send(test, Go{});
                        receive([](double) {});
                      });
                    }
                    for (int i = 0; i < 30; ++i) next<Go>();
                    for (int i = 0; i < 3; ++i) {
                      green::spawn([&] {
                        const Count count{destroyed, mutex};
                        sleep(1h);
                      });
                    }
                    yield();
                    return 3;
                  }),
              3);
    EXPECT_EQ(destroyed, 33);
  }
}

// As the body ends they are on their way to the other hubs.
TEST_F(Run, ActorsThatArriveAtTheEndAreToldShutdownToo) {
  std::atomic<int> reports{0};
  set_crash_logger([&](const CrashReport&) { ++reports; });
  for (int round = 0; round < 50; ++round) {
    EXPECT_EQ(run({.hubs = 3},
                  [] {
                    for (int i = 0; i < 9; ++i)
                      spawn(SpawnOptions{.place = Placement::next_hub}, [] { sleep(1h); });
                  }),
              0);
  }
  EXPECT_EQ(reports, 0);
}

TEST_F(Run, AnActorThatIsLeftIsToldShutdownFirst) {
  ExitReason told = Reason::normal;
  EXPECT_EQ(run([&] {
              spawn([&] {
                trap_exits();
                told = receive([](const Exit& exit) { return exit.reason; });
              });
              yield();
            }),
            0);
  EXPECT_EQ(told, Reason::shutdown);
}

TEST_F(Run, KillsWhatDoesNotEndInTheGrace) {
  bool is_destroyed = false;
  struct Flag {
    bool& flag;
    ~Flag() { flag = true; }
  };
  EXPECT_EQ(run({.grace = 10ms},
                [&] {
                  spawn([&] {
                    const Flag flag{is_destroyed};
                    trap_exits();
                    for (;;) receive([](const Exit&) {});
                  });
                  yield();
                  return 4;
                }),
            4);
  EXPECT_TRUE(is_destroyed);
}

TEST_F(Run, EndsATreeThatItsBodyStartedInOrder) {
  std::string order;
  EXPECT_EQ(run([&] {
              start_supervisor(supervisor({.children = {child<Noted>({.id = "a"}, &order, 'a'),
                                                        child<Noted>({.id = "b"}, &order, 'b')}}));
              stop(Reason::shutdown);
            }),
            0);
  EXPECT_EQ(order, "ba");
}

TEST_F(Run, ThatNothingCanEverWakeSaysSoAndIsOne) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(run([] {
              register_name("the one that waits");
              receive([](Go) {});
            }),
            1);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("the one that waits"), std::string::npos);
}

TEST_F(Run, NoticesThatNothingCanWakeItWhenTheLastOtherHubEnds) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(run([] {
              spawn(SpawnOptions{.place = Placement::own_thread}, [] { sleep(20ms); });
              receive([](Go) {});
            }),
            1);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("block for ever"), std::string::npos);
}

TEST_F(Run, IsNotOverWhileAnotherHubHasWork) {
  EXPECT_EQ(run({.hubs = 2},
                [] {
                  spawn(SpawnOptions{.place = elsewhere()}, [test = self()] {
                    sleep(20ms);
                    send(test, Go{});
                  });
                  receive([](Go) {});
                  return 9;
                }),
            9);
}

// A server outside run(), on a hub that its group does not see.
TEST_F(Run, WaitsForAnAnswerFromAHubOfAnotherThread) {
  struct Slow {
    int handle(Go) {
      sleep(20ms);
      return 4;
    }
  };
  std::promise<ServerRef<Slow>> promise;
  std::promise<void> done;
  std::thread outside([&] {
    promise.set_value(start<Slow>());
    const auto is_done = done.get_future().share();
    while (is_done.wait_for(0s) != std::future_status::ready) sleep(1ms);
  });
  const ServerRef<Slow> slow = promise.get_future().get();
  EXPECT_EQ(run({.hubs = 2}, [slow] { return call(slow, Go{}, Wait::forever()); }), 4);
  EXPECT_EQ(run({.hubs = 2}, [slow] { return is_alive(slow.pid()) ? 4 : 0; }), 4);
  done.set_value();
  outside.join();
}

// What it blocks is its own thread. Its hub goes idle, and ends, after run() has returned.
TEST_F(Run, LeavesBehindAnActorThatKeepsItsOwnThread) {
  std::atomic<bool> may_end{false};
  std::atomic<bool> has_ended{false};
  testing::internal::CaptureStderr();
  EXPECT_EQ(run({.hubs = 2, .grace = 1ms},
                [&] {
                  spawn(SpawnOptions{.place = Placement::own_thread}, [&, test = self()] {
                    const Uncancellable until_told;
                    send(test, Go{});
                    while (!may_end) std::this_thread::sleep_for(1ms);
                    sleep(5ms);
                    has_ended = true;
                  });
                  next<Go>();
                  return 3;
                }),
            3);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("does not end with run()"),
            std::string::npos);
  may_end = true;
  while (!has_ended) std::this_thread::sleep_for(1ms);
}

// Signals: in a child process of their own.

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
