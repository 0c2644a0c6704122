// What goes wrong with stackful coroutines in C++, each with a test that it does not here. Over 400
// lines, as it is one list.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/fiber/fiber.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/scheduler/sync/lock.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Event;
using green::Greenlet;
using green::GreenletExit;
using green::joinall;
using green::spawn;

using Log = std::vector<std::string>;

#if defined(GREENROOM_ASAN) || defined(GREENROOM_TSAN)
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif

// Kills without waiting, as if from outside.
void kill_soon(const Greenlet<>& greenlet) { greenlet.kill({}, 0s); }

// Exceptions that are being handled belong to the greenlet.

std::string text_of_current_exception() {
  try {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  }
}

TEST(Exceptions, RethrowAfterAParkInCatchThrowsTheGreenletsOwn) {
  auto body = [](const char* text) -> std::string {
    try {
      throw std::runtime_error(text);
    } catch (...) {
      yield();  // the other one is in its handler now, too
      return text_of_current_exception();
    }
  };
  auto a = spawn(body, "a");
  auto b = spawn(body, "b");
  EXPECT_EQ(a.get(), "a");
  EXPECT_EQ(b.get(), "b");
}

TEST(Exceptions, NestedHandlersKeepTheirOrderAcrossParks) {
  auto body = [](std::string name) {
    Log seen;
    try {
      throw std::runtime_error(name + " outer");
    } catch (...) {
      yield();
      try {
        throw std::runtime_error(name + " inner");
      } catch (...) {
        yield();
        seen.push_back(text_of_current_exception());
      }
      yield();
      seen.push_back(text_of_current_exception());
    }
    return seen;
  };
  auto a = spawn(body, "a");
  auto b = spawn(body, "b");
  EXPECT_EQ(a.get(), (Log{"a inner", "a outer"}));
  EXPECT_EQ(b.get(), (Log{"b inner", "b outer"}));
}

TEST(Exceptions, ADestructorMayParkWhileItsGreenletUnwinds) {
  struct Parks {
    std::string name;
    ~Parks() {
      for (int i = 0; i < 3; ++i) yield();
    }
  };
  auto body = [](std::string name) -> std::string {
    try {
      const Parks parks{name};
      throw std::runtime_error(name);
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(std::uncaught_exceptions(), 0);
      return error.what();
    }
  };
  auto a = spawn(body, "a");
  auto b = spawn(body, "b");
  EXPECT_EQ(a.get(), "a");
  EXPECT_EQ(b.get(), "b");
  EXPECT_EQ(std::uncaught_exceptions(), 0);
}

// Kill while parked: the greenlet unwinds where it can and the hub lives on.

TEST(Kill, EndsAGreenletThatParksInPlainCode) {
  bool unwound = false;
  struct Note {
    bool& flag;
    ~Note() { flag = true; }
  };
  auto victim = spawn([&] {
    const Note note{unwound};
    sleep(1h);
  });
  yield();
  victim.kill();
  EXPECT_TRUE(unwound);
  EXPECT_TRUE(victim.successful());
}

// What a destructor or another noexcept function waits for; it must be able to end.
struct Waiting {
  Event may_end;
  Log log;

  void wait(const char* where) {
    log.push_back(where);
    may_end.wait();
    log.push_back("waited");
  }
};

// Kills `victim`, which parks in a function that must not throw, and sees it die after that.
void expect_dies_after_waiting(Waiting& waiting, const Greenlet<>& victim) {
  yield();
  ASSERT_EQ(waiting.log.size(), 1u);
  kill_soon(victim);
  yield();
  EXPECT_EQ(waiting.log.size(), 1u) << "the wait was cut short";
  EXPECT_FALSE(victim.ready());
  waiting.may_end.set();
  victim.join();
  EXPECT_EQ(waiting.log.back(), "waited");
}

TEST(Kill, WaitsForAnUncancellableDestructor) {
  struct Cleanup {
    Waiting& waiting;
    ~Cleanup() {
      const Uncancellable uncancellable;
      waiting.wait("destructor");
    }
  };
  Waiting waiting;
  bool went_on = false;
  auto victim = spawn([&] {
    { const Cleanup cleanup{waiting}; }
    yield();
    went_on = true;
  });
  expect_dies_after_waiting(waiting, victim);
  EXPECT_FALSE(went_on);
}

TEST(Kill, WaitsForADestructorOnTheNormalPath) {
  struct Cleanup {
    Waiting& waiting;
    ~Cleanup() { waiting.wait("destructor"); }
  };
  Waiting waiting;
  bool went_on = false;
  auto victim = spawn([&] {
    { const Cleanup cleanup{waiting}; }
    yield();
    went_on = true;
  });
  expect_dies_after_waiting(waiting, victim);
  EXPECT_FALSE(went_on);
}

TEST(Kill, WaitsForADestructorThatHasLocalsOfItsOwn) {
  struct Cleanup {
    Waiting& waiting;
    ~Cleanup() {
      const std::string local(waiting.log.size() + 100, 'x');
      const std::vector<std::string> more{local, local};
      waiting.wait(more[0].empty() ? "" : "destructor");
    }
  };
  Waiting waiting;
  auto victim = spawn([&] {
    { const Cleanup cleanup{waiting}; }
    yield();
  });
  expect_dies_after_waiting(waiting, victim);
}

// A function with something to destroy, inlined into one that must not throw: the compiler's tables
// do not say that, only the code does.
[[gnu::always_inline]] inline void wait_with_locals(Waiting& waiting, const char* where) {
  const std::string local(waiting.log.size() + 100, 'x');
  const std::vector<std::string> more{local, local};
  waiting.wait(more[0].empty() ? "" : where);
}

[[gnu::noinline]] void wait_inlined(Waiting& waiting) noexcept {
  wait_with_locals(waiting, "noexcept");
}

TEST(Kill, WaitsForANoexceptFunctionThatOthersAreInlinedInto) {
  Waiting waiting;
  auto victim = spawn([&] {
    wait_inlined(waiting);
    yield();
  });
  expect_dies_after_waiting(waiting, victim);
}

[[gnu::noinline]] void wait_in_other_handler(Waiting& waiting) noexcept {
  const std::string local(waiting.log.size() + 100, 'x');
  try {
    wait_with_locals(waiting, "noexcept");
  } catch (const std::bad_alloc&) {
    waiting.log.push_back(local);
  }
}

TEST(Kill, WaitsForANoexceptFunctionThatCatchesSomethingElse) {
  Waiting waiting;
  auto victim = spawn([&] {
    wait_in_other_handler(waiting);
    yield();
  });
  expect_dies_after_waiting(waiting, victim);
}

TEST(Kill, WaitsForADestructorThatIsInlined) {
  struct Cleanup {
    Waiting& waiting;
    [[gnu::always_inline]] ~Cleanup() { wait_with_locals(waiting, "destructor"); }
  };
  Waiting waiting;
  auto victim = spawn([&] {
    const std::string local(100, 'x');
    {
      const Cleanup cleanup{waiting};
      yield();
    }
    EXPECT_EQ(local.size(), 100u);
    yield();
  });
  yield();
  expect_dies_after_waiting(waiting, victim);
}

// Cleanups and handlers of any kind that are not in the way.
TEST(Kill, IsThrownThroughCleanupsAndOtherHandlers) {
  Log log;
  auto body = [&] {
    const std::string outer(100, 'x');
    const auto shared = std::make_shared<std::string>(outer);
    try {
      const std::vector<std::string> many(3, outer);
      std::thread joined([] {});
      joined.join();
      try {
        const std::unique_ptr<std::string> inner = std::make_unique<std::string>(outer);
        sleep(1h);
        log.push_back(*inner + many[0]);
      } catch (const std::bad_alloc&) {
        log.push_back("bad_alloc");
      }
    } catch (const std::exception& error) {
      log.push_back(error.what());
    } catch (...) {
      log.push_back("kill");
      throw;
    }
  };
  auto victim = spawn(body);
  yield();
  victim.kill();
  EXPECT_EQ(log, Log{"kill"});
}

TEST(Kill, WaitsForADestructorThatRunsWhileAnExceptionUnwinds) {
  struct Cleanup {
    Waiting& waiting;
    ~Cleanup() { waiting.wait("destructor"); }
  };
  Waiting waiting;
  auto victim = spawn([&] {
    try {
      const Cleanup cleanup{waiting};
      throw std::runtime_error("unwinds");
    } catch (const std::runtime_error&) {
    }
    yield();
  });
  expect_dies_after_waiting(waiting, victim);
  EXPECT_TRUE(victim.successful());
}

[[gnu::noinline]] void wait_noexcept(Waiting& waiting) noexcept { waiting.wait("noexcept"); }

TEST(Kill, WaitsForANoexceptFunction) {
  Waiting waiting;
  auto victim = spawn([&] {
    wait_noexcept(waiting);
    yield();
  });
  expect_dies_after_waiting(waiting, victim);
}

// The kill came first: the calls in the function do as if there were none.
TEST(Kill, ThatIsPendingIsNotThrownInANoexceptFunction) {
  Waiting waiting;
  bool went_on = false;
  auto victim = spawn([&] {
    {
      const Uncancellable uncancellable;
      yield();
    }
    wait_noexcept(waiting);
    yield();
    went_on = true;
  });
  yield();
  kill_soon(victim);
  yield();
  EXPECT_EQ(waiting.log.size(), 1u);
  waiting.may_end.set();
  victim.join();
  EXPECT_FALSE(went_on);
}

// A handler between the park and the noexcept function makes it safe to throw.
TEST(Kill, IsThrownInANoexceptFunctionThatCatchesIt) {
  bool caught = false;
  auto catches = [&]() noexcept {
    try {
      sleep(1h);
    } catch (const GreenletExit&) {
      caught = true;
    }
  };
  auto victim = spawn(catches);
  yield();
  victim.kill();
  EXPECT_TRUE(caught);
}

TEST(Timeouts, WaitForADestructorToo) {
  struct Cleanup {
    ~Cleanup() { sleep(5ms); }
  };
  EXPECT_FALSE(try_for(1ms, [] {
    { const Cleanup cleanup; }
    yield();
  }));
}

// What bounds a clean-up takes its own timeout only: another one waits until the clean-up is over.
TEST(Timeouts, WaitForADestructorThatIsBoundedByATryFor) {
  bool was_cut_short = false;
  struct Cleanup {
    bool& was_cut_short;
    ~Cleanup() {
      was_cut_short = !try_for(1h, [] { sleep(5ms); });
    }
  };
  bool went_on = false;
  EXPECT_FALSE(try_for(1ms, [&] {
    { const Cleanup cleanup{was_cut_short}; }
    yield();
    went_on = true;
  }));
  EXPECT_FALSE(was_cut_short);
  EXPECT_FALSE(went_on);
}

TEST(Timeouts, OfATryForWithinADestructorComeWhileOthersArePending) {
  int bounded = 0;
  struct Cleanup {
    int& bounded;
    ~Cleanup() {
      bounded += !try_for(5ms, [] { sleep(1h); });
      bounded +=
          try_for(1h, [] { return try_for(1ms, [] { return sleep(1h), 1; }); }) == std::nullopt;
    }
  };
  EXPECT_FALSE(try_for(1ms, [&] {
    { const Cleanup cleanup{bounded}; }
    yield();
  }));
  EXPECT_EQ(bounded, 1);
  auto victim = spawn([&] {
    { const Cleanup cleanup{bounded}; }
    yield();
    bounded = 100;
  });
  yield();
  victim.kill();
  EXPECT_EQ(bounded, 2);
  EXPECT_THROW(with_deadline(1ms,
                             [&] {
                               { const Cleanup cleanup{bounded}; }
                               yield();
                             }),
               TimeoutError);
  EXPECT_EQ(bounded, 3);
}

// In the same function as the try_for, and beyond it.
TEST(Timeouts, OfOthersPassATryForToTheirHandler) {
  bool caught = false;
  auto catches = [&]() noexcept {
    const Timeout outer(1ms);
    try {
      try_for(1h, [] { sleep(1h); });
    } catch (const TimeoutError& error) {
      caught = outer.is_mine(error);
    }
  };
  spawn(catches).join();
  EXPECT_TRUE(caught);
}

[[gnu::noinline]] void note(std::vector<std::string>& log, const char* what) {
  log.emplace_back(what);
}

// A handler that throws it again takes nothing, whatever it does before.
TEST(Kill, WaitsForANoexceptFunctionWithAHandlerThatThrowsItAgain) {
  Waiting waiting;
  auto careful = [&] {
    try {
      waiting.wait("careful");
    } catch (...) {
      note(waiting.log, "handled");
      if (waiting.log.size() > 10) waiting.log.clear();
      throw;
    }
  };
  auto translates = [&] {
    try {
      careful();
    } catch (const GreenletExit&) {
      note(waiting.log, "translated");
      throw std::runtime_error("was killed");
    }
  };
  auto calls = [&]() noexcept { translates(); };
  auto victim = spawn([&] {
    calls();
    yield();
  });
  expect_dies_after_waiting(waiting, victim);
}

TEST(Kill, IsThrownThroughAHandlerThatThrowsItAgain) {
  Waiting waiting;
  auto victim = spawn([&] {
    try {
      try {
        sleep(1h);
      } catch (...) {
        note(waiting.log, "inner");
        throw;
      }
    } catch (const GreenletExit&) {
      note(waiting.log, "outer");
    }
  });
  yield();
  victim.kill();
  EXPECT_EQ(waiting.log, (std::vector<std::string>{"inner", "outer"}));
}

// The exception's type decides, as in the C++ runtime: a base class, and a pointer.
TEST(Kill, WithATypeOfItsOwnFindsTheHandlerInANoexceptFunction) {
  struct Base {
    virtual ~Base() = default;
  };
  struct Derived : Base {};
  std::string caught;
  auto by_base = [&]() noexcept {
    try {
      sleep(1h);
    } catch (const Base&) {
      caught += "base ";
    }
  };
  auto by_pointer = [&]() noexcept {
    try {
      sleep(1h);
    } catch (const Base*) {
      caught += "pointer";
    }
  };
  auto first = spawn(by_base);
  auto second = spawn(by_pointer);
  yield();
  static Derived thrown;
  first.kill(std::make_exception_ptr(Derived()));
  second.kill(std::make_exception_ptr(&thrown));
  EXPECT_EQ(caught, "base pointer");
}

// std::function and library code without exceptions of its own do not stand in the way.
TEST(Kill, PassesThroughLibraryFrames) {
  const std::function<void()> inner = [] { sleep(1h); };
  auto victim = spawn([&] {
    std::vector<int> values{2, 1};
    std::sort(values.begin(), values.end(), [&](int a, int b) {
      inner();
      return a < b;
    });
  });
  yield();
  victim.kill();
  EXPECT_TRUE(victim.ready());
}

// Local statics whose initialiser parks.

struct Slow {
  explicit Slow(int& count, Event& may_end) : number(++count) { may_end.wait(); }
  int number;
};

TEST(LocalStatic, OtherGreenletsWaitForAnInitialiserThatParks) {
  static int count = 0;
  static Event may_end;
  if (count > 0) GTEST_SKIP() << "once a program";
  auto enter = [] {
    static const Slow slow(count, may_end);
    return slow.number;
  };
  std::vector<Greenlet<int>> all;
  all.reserve(3);
  for (int i = 0; i < 3; ++i) all.push_back(spawn(enter));
  yield();
  EXPECT_EQ(count, 1);
  EXPECT_FALSE(all[1].ready());
  may_end.set();
  for (const auto& greenlet : all) EXPECT_EQ(greenlet.get(), 1);
  EXPECT_EQ(count, 1);
}

TEST(LocalStatic, AKilledInitialiserIsRunAnewByTheNext) {
  static int count = 0;
  static Event may_end;
  auto enter = [] {
    static const Slow slow(count, may_end);
    return slow.number;
  };
  auto first = spawn(enter);
  auto second = spawn(enter);
  yield();
  first.kill();
  yield();
  EXPECT_EQ(count, 2);
  may_end.set();
  EXPECT_EQ(second.get(), 2);
}

TEST(LocalStatic, IsInitialisedOnceByManyThreadsAndGreenlets) {
  static std::atomic<int> count{0};
  auto enter = [] {
    struct Once {
      Once() {
        ++count;
        sleep(2ms);
      }
      int value = 7;
    };
    static const Once once;
    return once.value;
  };
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      if (t % 2 == 0) {  // a plain thread, unless it is the one that initialises
        sum += enter() + enter();
        return;
      }
      std::vector<Greenlet<int>> all{spawn(enter), spawn(enter)};
      for (const auto& greenlet : all) sum += greenlet.get();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 1);
  EXPECT_EQ(sum, 4 * 14);
}

// What the C library keeps per thread.

TEST(Errno, IsKeptPerGreenlet) {
  auto body = [](int value) {
    errno = value;
    yield();
    return errno;
  };
  auto a = spawn(body, EAGAIN);
  auto b = spawn(body, ENOENT);
  EXPECT_EQ(a.get(), EAGAIN);
  EXPECT_EQ(b.get(), ENOENT);
}

// Ends of the program.

using HazardsDeathTest = testing::Test;

[[gnu::noinline]] int recurse(int depth) {
  volatile char frame[1024];
  frame[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : recurse(depth + 1) + frame[0];
}

void overflow() { recurse(0); }

TEST(HazardsDeathTest, StackOverflowNamesTheGreenlet) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  if (is_sanitized) GTEST_SKIP() << "the sanitizer reports it";
  EXPECT_DEATH(spawn(&overflow).join(), "stack overflow in greenlet");
}

TEST(HazardsDeathTest, ExitInsideAGreenletIsReportedAndWorks) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  if (is_sanitized) GTEST_SKIP() << "what the parked stacks own is reported as leaked";
  EXPECT_EXIT(spawn([] { std::exit(3); }).join(), testing::ExitedWithCode(3),
              "std::exit\\(\\) was called inside greenlet");
}

TEST(HazardsDeathTest, AnUncaughtLoopExitTellsWhatIsParkedWhere) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto block_for_ever = [] {
    Event never;
    spawn([&] { never.wait(); });
    green::Semaphore(0).acquire();
  };
  EXPECT_DEATH(std::thread(block_for_ever).join(),
               "would block for ever(.|\n)*root greenlet: parked in semaphore.acquire(.|\n)*"
               "parked in event.wait");
}

TEST(HazardsDeathTest, ALoopExitThatNobodyCouldCatchIsReportedToo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto block_for_ever = []() noexcept { Event().wait(); };
  EXPECT_DEATH(block_for_ever(), "root greenlet cannot be thrown into.*would block for ever");
}

TEST(LoopExit, IsThrownInTheRootAndNamesWhatIsParked) {
  Event never;
  auto parked = spawn([&] { never.wait(); });
  std::string text;
  try {
    never.wait();
  } catch (const green::LoopExit& exit) {
    text = exit.what();
  }
  EXPECT_NE(text.find("root greenlet: parked in event.wait"), std::string::npos) << text;
  EXPECT_NE(text.find("greenlet greenroom::"), std::string::npos) << text;
  // The program goes on.
  never.set();
  parked.join();
}

TEST(LoopExit, DoesNotComeWhileAHoldPromisesNewsFromOutside) {
  Event event;
  bool posted = false;
  Hub& hub = green::get_hub();
  std::thread outside([&, hold = hub.hold()]() mutable {
    while (!hub.port().is_asleep()) std::this_thread::yield();
    hub.post([&] { posted = true; });
    event.set();
    hold.release();
  });
  EXPECT_TRUE(event.wait());
  outside.join();
  yield();
  EXPECT_TRUE(posted);
}

// The budget.

TEST(Budget, AKillAtItsYieldTakesAndLosesNothing) {
  Hub& hub = green::get_hub();
  green::Lock lock;
  green::RLock recursive;
  green::Barrier barrier(2);
  Event event;
  event.set();
  auto sleeper = spawn([] { sleep(1h); });
  yield();
  hub.set_budget(1);
  const std::vector<Greenlet<>> victims{
      spawn([&] { lock.lock(); }),    spawn([&] { recursive.lock(); }),
      spawn([&] { barrier.wait(); }), spawn([&] { event.wait(); }),
      spawn([&] { sleeper.join(); }), spawn([] { sleep(0s); })};
  detail::yield_now();  // all have started, and yield before they try
  hub.set_budget(Hub::default_budget);
  for (const Greenlet<>& victim : victims)
    detail::throw_into(victim.task(), std::make_exception_ptr(GreenletExit()));
  joinall(victims);
  EXPECT_FALSE(lock.locked());
  EXPECT_EQ(recursive.count(), 0);
  EXPECT_EQ(barrier.waiting(), 0);
  sleeper.kill();
}

TEST(Budget, OneThatNeverParksLetsTheOthersRun) {
  Event event;
  event.set();
  bool other_ran = false;
  auto busy = spawn([&] {
    int calls = 0;
    while (!other_ran && calls < 10 * Hub::default_budget) {
      event.wait();
      ++calls;
    }
    return calls;
  });
  auto other = spawn([&] { other_ran = true; });
  EXPECT_LE(busy.get(), Hub::default_budget + 1);
  other.join();
}

// Epochs.

// 64 bits do not wrap in practice; should they, a stale wake is still refused.
TEST(Epoch, WrapsWithoutMixingParksUp) {
  detail::Waker stale;
  auto body = [&stale](green::Semaphore& semaphore) {
    detail::Task& self = *green::get_hub().current_task();
    self.epoch = UINT64_MAX - 1;
    int count = 0;
    for (int i = 0; i < 6; ++i) {
      stale = detail::Waiting(self).waker();
      if (semaphore.acquire(i % 2 == 0 ? Wait(1us) : Wait::forever())) ++count;
    }
    return count;
  };
  green::Semaphore semaphore(0);
  auto waiter = spawn(body, std::ref(semaphore));
  int released = 0;
  while (!waiter.ready()) {
    if (!waiter.ready() && waiter.task().state == detail::TaskState::parked &&
        waiter.task().park->deadline == detail::no_deadline) {
      EXPECT_FALSE(stale.wake());
      semaphore.release();
      ++released;
    }
    yield();
  }
  EXPECT_EQ(waiter.get(), released);
  EXPECT_EQ(released, 3);
  EXPECT_LT(waiter.task().epoch, 16u);
}

// Many.

TEST(Scale, AHundredThousandGreenletsParkAtOnce) {
  // gcc 12's thread sanitizer cannot have more than 8128 fibers.
  constexpr int count = is_sanitized ? 2'000 : 100'000;
  Event gate;
  int through = 0;
  std::vector<Greenlet<>> all;
  all.reserve(count);
  for (int i = 0; i < count; ++i)
    all.push_back(spawn([&] {
      gate.wait();
      ++through;
    }));
  yield();
  EXPECT_EQ(through, 0);
  gate.set();
  joinall(all);
  EXPECT_EQ(through, count);
}

}  // namespace
}  // namespace greenroom
