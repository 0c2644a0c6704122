#include "greenroom/scheduler/fiber/fiber.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/fiber/stack.h"

namespace greenroom::detail {
namespace {

using Log = std::vector<std::string>;

// Fibers of this thread that run a function each and go back to the thread's own stack.
class FiberTest : public testing::Test {
 protected:
  struct Body {
    FiberTest* test;
    std::function<void()> run;
    Fiber* fiber = nullptr;
    bool is_over = false;
  };

  ~FiberTest() override {
    for (auto& body : bodies) stacks.release(Fiber::destroy(*body->fiber));
  }

  Body& make(std::function<void()> run) {
    bodies.push_back(std::make_unique<Body>(Body{this, std::move(run)}));
    Body& body = *bodies.back();
    body.fiber = &Fiber::create(stacks.acquire(), &FiberTest::enter, &body);
    return body;
  }

  // On the thread's stack: runs `body` until it switches back.
  void resume(Body& body) {
    current = &body;
    thread_fiber.switch_to(*body.fiber, thread);
  }
  // On a body's stack: back to the thread's.
  void go_back() { current->fiber->switch_to(thread_fiber, thread); }

  static void enter(void* argument) {
    auto& body = *static_cast<Body*>(argument);
    body.run();
    body.is_over = true;
    body.fiber->leave_for(body.test->thread_fiber);
  }

  StackPool stacks;
  Fiber thread_fiber;
  ThreadState thread = thread_state();
  Body* current = nullptr;
  std::vector<std::unique_ptr<Body>> bodies;
};

TEST_F(FiberTest, RunsFromItsFirstSwitchAndGoesOnWhereItLeft) {
  Log out;
  Body& body = make([&] {
    out.push_back("one");
    go_back();
    out.push_back("two");
  });
  EXPECT_TRUE(out.empty());
  resume(body);
  EXPECT_EQ(out, Log{"one"});
  resume(body);
  EXPECT_EQ(out, (Log{"one", "two"}));
  EXPECT_TRUE(body.is_over);
}

TEST_F(FiberTest, KeepsItsLocalsAcrossSwitches) {
  std::vector<Body*> all;
  long sum = 0;
  for (long i = 0; i < 50; ++i)
    all.push_back(&make([&, i] {
      volatile long locals[64];
      for (long& number : const_cast<long(&)[64]>(locals)) number = i;
      go_back();
      for (int n = 0; n < 64; ++n) sum += locals[n];
    }));
  for (Body* body : all) resume(*body);
  for (Body* body : all) resume(*body);
  EXPECT_EQ(sum, 64L * 49 * 50 / 2);
}

TEST_F(FiberTest, HasItsOwnHandledException) {
  Log out;
  auto throwing = [&](const char* text) {
    return [&, text] {
      try {
        throw std::runtime_error(text);
      } catch (...) {
        go_back();
        try {
          throw;
        } catch (const std::runtime_error& error) {
          out.push_back(error.what());
        }
      }
    };
  };
  Body& a = make(throwing("a"));
  Body& b = make(throwing("b"));
  resume(a);
  resume(b);
  EXPECT_EQ(std::current_exception(), nullptr);
  resume(a);
  resume(b);
  EXPECT_EQ(out, (Log{"a", "b"}));
}

TEST_F(FiberTest, StartsWithNoExceptionWhereverItIsMade) {
  int uncaught = -1;
  bool has_current = true;
  Body& body = make([&] {
    uncaught = std::uncaught_exceptions();
    has_current = std::current_exception() != nullptr;
  });
  struct Resumes {
    std::function<void()> run;
    ~Resumes() { run(); }
  };
  try {
    const Resumes resumes{[&] {
      EXPECT_EQ(std::uncaught_exceptions(), 1);
      resume(body);
      EXPECT_EQ(std::uncaught_exceptions(), 1);
    }};
    throw std::runtime_error("unwinds");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(uncaught, 0);
  EXPECT_FALSE(has_current);
}

TEST_F(FiberTest, HasItsOwnErrno) {
  Body& body = make([&] {
    errno = EAGAIN;
    go_back();
    EXPECT_EQ(errno, EAGAIN);
  });
  errno = ENOENT;
  resume(body);
  EXPECT_EQ(errno, ENOENT);
  resume(body);
}

TEST_F(FiberTest, MayThrowAndCatchDeepInItsStack) {
  std::string caught;
  std::function<void(int)> descend = [&](int depth) {
    if (depth == 0) throw std::runtime_error("deep");
    const std::string local(32, 'x');
    descend(depth - 1);
  };
  Body& body = make([&] {
    try {
      descend(20);
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
  });
  resume(body);
  EXPECT_EQ(caught, "deep");
}

TEST_F(FiberTest, SwitchesDirectlyFromOneToAnother) {
  Log out;
  Body* first = nullptr;
  Body* second = nullptr;
  first = &make([&] {
    out.push_back("first");
    current = second;
    first->fiber->switch_to(*second->fiber, thread);
    out.push_back("first again");
  });
  second = &make([&] {
    out.push_back("second");
    current = first;
    second->fiber->switch_to(*first->fiber, thread);
  });
  resume(*first);
  EXPECT_EQ(out, (Log{"first", "second", "first again"}));
}

TEST_F(FiberTest, TheThreadsOwnHasNoStackOfOurs) {
  EXPECT_TRUE(thread_fiber.is_thread());
  Body& body = make([&] {
    const int local = 0;
    const auto* here = reinterpret_cast<const std::byte*>(&local);
    const Stack& stack = current->fiber->stack();
#if !defined(GREENROOM_ASAN)
    EXPECT_GE(here, stack.base);
    EXPECT_LT(here, stack.top());
#endif
    static_cast<void>(here);
    static_cast<void>(stack);
  });
  EXPECT_FALSE(body.fiber->is_thread());
  resume(body);
}

TEST(ThreadState, IsTheThreads) {
  const ThreadState here = thread_state();
  std::thread([&] { EXPECT_NE(thread_state().exceptions, here.exceptions); }).join();
  EXPECT_EQ(thread_state().exceptions, here.exceptions);
  errno = 5;
  EXPECT_EQ(*here.error_number, 5);
}

}  // namespace
}  // namespace greenroom::detail
