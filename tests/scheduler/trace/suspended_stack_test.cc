// Compiled without frame pointers: what a user's compiler does by default.
#include <gtest/gtest.h>

#include <string>

#include "greenroom/scheduler/fiber/fiber.h"
#include "greenroom/scheduler/fiber/stack.h"
#include "greenroom/scheduler/trace/stack_trace.h"

namespace greenroom::detail {
namespace {

struct Switch {
  Fiber thread_fiber;
  Fiber* fiber = nullptr;
  ThreadState thread = thread_state();
  int depth = 0;
};

// The loops keep the calls from being the last thing in the functions.
[[gnu::noinline]] int function_that_leaves(Switch& the) {
  int left = 0;
  for (; left < 1; ++left) the.fiber->switch_to(the.thread_fiber, the.thread);
  return left + the.depth;
}

[[gnu::noinline]] int function_with_a_frame(Switch& the) {
  volatile char frame[200] = {};
  int sum = 0;
  for (int i = 0; i < 2; ++i) sum += function_that_leaves(the) + frame[i];
  return sum;
}

void function_at_the_base(void* argument) {
  auto& the = *static_cast<Switch*>(argument);
  for (;;) the.depth += function_with_a_frame(the);
}

TEST(SuspendedStack, OfAFiberIsWalkedToItsBaseWhereNoFunctionHasAFramePointer) {
  StackPool stacks;
  Switch the;
  the.fiber = &Fiber::create(stacks.acquire(), &function_at_the_base, &the);
  for (int round = 0; round < 3; ++round) {
    the.thread_fiber.switch_to(*the.fiber, the.thread);
    const Stack& stack = the.fiber->stack();
    const StackTrace trace =
        capture_suspended(the.fiber->context(), stack.base, stack.top(), red_zone);
    const std::string text = to_string(trace, 32, Frames::all);
    std::size_t at = 0;
    for (const char* name :
         {"function_that_leaves", "function_with_a_frame", "function_at_the_base"}) {
      at = text.find(name, at);
      ASSERT_NE(at, std::string::npos) << "no " << name << " in its place:\n" << text;
    }
  }
  stacks.release(Fiber::destroy(*the.fiber));
}

}  // namespace
}  // namespace greenroom::detail
