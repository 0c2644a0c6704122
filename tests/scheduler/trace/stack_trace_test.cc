// Stack traces, as taken and as told. Over 400 lines: the stacks to be walked are made here, too.
#include "greenroom/scheduler/trace/stack_trace.h"

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <boost/context/detail/fcontext.hpp>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/trace/symbolizer.h"
#include "gtest/gtest.h"

// A runtime template in a header of ours, as a user's code is inlined into one.
#line 1 "/proc/self/cwd/bin/_virtual_includes/task/greenroom/scheduler/task.h"
namespace greenroom::detail {
template <class Body>
[[gnu::noinline]] void run_template(Body&& body) {
  body();
  asm volatile("");
}
}  // namespace greenroom::detail
#line 32 "tests/scheduler/trace/stack_trace_test.cc"

namespace greenroom::detail {

// Frames that to_string leaves out, for Trim*.
[[gnu::noinline]] std::string runtime_function(const std::function<std::string()>& body) {
  std::string text = body();
  asm volatile("");
  return text;
}

}  // namespace greenroom::detail

namespace {

using greenroom::detail::capture_stack_trace;
using greenroom::detail::capture_suspended;
using greenroom::detail::Frames;
using greenroom::detail::StackTrace;
using greenroom::detail::to_readable_name;
using greenroom::detail::to_string;
using greenroom::detail::unwind_step;
using greenroom::detail::UnwindContext;

// The lines of `text` must contain `parts` in this order, one or more lines apart.
void expect_in_order(const std::string& text, const std::vector<std::string>& parts) {
  std::size_t at = 0;
  for (const std::string& part : parts) {
    at = text.find(part, at);
    ASSERT_NE(at, std::string::npos) << "no " << part << " in this place of\n" << text;
    at = text.find('\n', at);
  }
}

int count_lines(const std::string& text) {
  return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

// Names.

StackTrace kept_trace;

[[gnu::noinline]] void take_trace() {
  kept_trace = capture_stack_trace();
  asm volatile("");
}

[[gnu::noinline]] int anonymous_function(int value) {
  take_trace();
  asm volatile("");
  return value + 1;
}

[[gnu::always_inline]] inline int inlined_inner(int value) {
  take_trace();
  return value + 1;
}
[[gnu::always_inline]] inline int inlined_middle(int value) { return inlined_inner(value) * 3; }
[[gnu::always_inline]] inline int inlined_outer(int value) { return inlined_middle(value) + 7; }

[[gnu::noinline]] int function_with_inlined_ones(int value) {
  const int result = inlined_outer(value);
  asm volatile("");
  return result;
}

struct Parser {
  [[gnu::noinline]] int parse(const std::string& text, const std::vector<std::string>& words) {
    take_trace();
    asm volatile("");
    return static_cast<int>(text.size() + words.size());
  }
};

}  // namespace

[[gnu::noinline]] static int static_function(int value) {
  take_trace();
  asm volatile("");
  return value + 2;  // not what anonymous_function returns: equal functions become one
}

namespace {

TEST(StackTrace, NamesFunctionsOfAnonymousNamespacesWithFileAndLine) {
  const int line = __LINE__ + 1;
  anonymous_function(1);
  const std::string text = to_string(kept_trace);
  expect_in_order(text, {"take_trace()", "anonymous_function(int)", "TestBody()"});
  EXPECT_NE(text.find("stack_trace_test.cc:" + std::to_string(line) + "\n"), std::string::npos)
      << text;
}

TEST(StackTrace, NamesStaticFunctions) {
  static_function(1);
  expect_in_order(to_string(kept_trace), {"at static_function(int)", "TestBody()"});
}

TEST(StackTrace, NamesLambdas) {
  const auto lambda = [](int value) __attribute__((noinline)) {
    take_trace();
    asm volatile("");
    return value + 1;
  };
  lambda(1);
  const std::string text = to_string(kept_trace);
  expect_in_order(text, {"NamesLambdas_Test::TestBody()::{lambda", "TestBody()"});
  expect_in_order(text, {"}::operator()(int) const"});
}

TEST(StackTrace, NamesFunctionsInlinedIntoOneAnother) {
  function_with_inlined_ones(1);
  expect_in_order(to_string(kept_trace), {"inlined_inner", "inlined_middle", "inlined_outer",
                                          "function_with_inlined_ones(int)", "TestBody()"});
}

TEST(StackTrace, WritesParametersAsTheUserDoes) {
  Parser().parse("", {});
  expect_in_order(to_string(kept_trace),
                  {"Parser::parse(std::string const&, std::vector<std::string> const&)"});
}

TEST(StackTrace, ShowsAnAddressThatBelongsToNothingAsANumber) {
  StackTrace trace;
  trace.frames[trace.size++] = reinterpret_cast<void*>(0x1235);
  EXPECT_EQ(to_string(trace), "    at 0x1234\n");
}

TEST(StackTrace, ShowsALibraryFunctionByItsExportedName) {
  StackTrace trace;
  trace.frames[trace.size++] = reinterpret_cast<char*>(&std::qsort) + 1;
  EXPECT_NE(to_string(trace).find("qsort"), std::string::npos) << to_string(trace);
}

TEST(StackTrace, OfNothingIsEmptyText) { EXPECT_EQ(to_string(StackTrace()), ""); }

TEST(StackTrace, CanBeReadByManyThreadsAtOnce) {
  function_with_inlined_ones(1);
  const std::string expected = to_string(kept_trace);
  std::array<std::string, 4> texts;
  std::vector<std::thread> threads;
  threads.reserve(texts.size());
  for (std::string& text : texts) {
    threads.emplace_back([&text] { text = to_string(kept_trace); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_EQ(text, expected);
}

struct ReadableName {
  const char* symbol;
  const char* name;
};
void PrintTo(const ReadableName& value, std::ostream* out) { *out << value.symbol; }

class ReadableNames : public testing::TestWithParam<ReadableName> {};

TEST_P(ReadableNames, LeaveOutWhatNobodyWrites) {
  EXPECT_EQ(to_readable_name(GetParam().symbol), GetParam().name);
}

INSTANTIATE_TEST_SUITE_P(
    Symbolizer, ReadableNames,
    testing::Values(
        ReadableName{"main", "main"}, ReadableName{"_Z", "_Z"},
        ReadableName{"_ZN3app12_GLOBAL__N_14anonEi", "app::(anonymous namespace)::anon(int)"},
        ReadableName{"_ZL5st_fnSt6vectorINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEESaIS5_"
                     "EE.isra.0",
                     "st_fn(std::vector<std::string>)"},
        ReadableName{"_Z1fSt3mapINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEiSt4lessIS5_"
                     "ESaISt4pairIKS5_iEEE",
                     "f(std::map<std::string, int>)"},
        ReadableName{"_Z1gSt10unique_ptrIiSt14default_deleteIiEESt17basic_string_viewIcSt11char_"
                     "traitsIcEE",
                     "g(std::unique_ptr<int>, std::string_view)"},
        ReadableName{"_Z4nameB5cxx11v", "name()"}));

// What to_string leaves out.

[[gnu::noinline]] std::string user_function() {
  return greenroom::detail::runtime_function([] {
    take_trace();
    return std::string();
  });
}

TEST(StackTrace, HidesRuntimeFramesOnlyAtTheEnds) {
  greenroom::detail::runtime_function([] { return user_function(); });
  const std::string relevant = to_string(kept_trace, 100);
  expect_in_order(relevant, {"user_function", "greenroom::detail::runtime_function",
                             "user_function", "greenroom::detail::runtime_function", "TestBody()"});
  EXPECT_EQ(relevant.find("_start"), std::string::npos) << relevant;
  EXPECT_NE(to_string(kept_trace, 100, Frames::all).find("_start"), std::string::npos);
}

TEST(StackTrace, ShowsUserCodeThatWasInlinedIntoTheRuntime) {
  StackTrace outermost;  // as in a fiber, where only the runtime is outside
  greenroom::detail::run_template([&outermost]() __attribute__((always_inline)) {
    const StackTrace trace = capture_stack_trace();
    outermost.frames[outermost.size++] = trace.frames[0];
  });
  const std::string text = to_string(outermost);
  expect_in_order(text, {"operator()"});
  EXPECT_EQ(text.find("run_template"), std::string::npos) << text;
}

TEST(StackTrace, ShowsRuntimeFramesRatherThanNothing) {
  greenroom::detail::runtime_function([] {
    kept_trace = capture_stack_trace();
    return std::string();
  });
  for (int i = 0; i < kept_trace.size; ++i) {
    const std::string name = greenroom::detail::symbolize(kept_trace.frames[i])->back().function;
    if (name.find("runtime_function") != std::string::npos) {
      StackTrace only;
      only.frames[only.size++] = kept_trace.frames[i];
      EXPECT_NE(to_string(only).find("runtime_function"), std::string::npos);
      return;
    }
  }
  FAIL() << "no runtime_function in\n" << to_string(kept_trace, 100, Frames::all);
}

TEST(StackTrace, WritesNoMoreThanTheLinesAskedFor) {
  anonymous_function(1);
  const std::string text = to_string(kept_trace, 2);
  EXPECT_EQ(count_lines(text), 3);
  EXPECT_NE(text.find("    ... and "), std::string::npos) << text;
}

// Walking.

[[gnu::noinline]] int recurse(int depth) {
  if (depth == 0) {
    take_trace();
    return 0;
  }
  const int result = recurse(depth - 1) + 1;
  asm volatile("");
  return result;
}

TEST(StackTrace, KeepsTheInnermostFramesOfADeepStack) {
  recurse(100);
  EXPECT_EQ(kept_trace.size, StackTrace::max_frames);
  const std::string text = to_string(kept_trace, 100);
  expect_in_order(text, {"take_trace()", "recurse(int)", "recurse(int)"});
  EXPECT_NE(text.find("were not recorded"), std::string::npos) << text;
}

[[gnu::noinline]] StackTrace capture_skipping(int skip) {
  StackTrace trace = capture_stack_trace(skip);
  asm volatile("");
  return trace;
}

TEST(StackTrace, LeavesOutTheSkippedFrames) {
  const StackTrace whole = capture_skipping(0);
  const StackTrace skipped = capture_skipping(1);
  ASSERT_EQ(skipped.size, whole.size - 1);
  for (int i = 1; i < skipped.size; ++i) EXPECT_EQ(skipped.frames[i], whole.frames[i + 1]);
  EXPECT_EQ(capture_skipping(1000).size, 0);
}

// What the C++ runtime's own unwinder, which throwing relies on, says of the same stack.
struct Comparison {
  StackTrace ours;
  StackTrace runtime;
};
Comparison comparison;

[[gnu::noinline]] void compare() {
  comparison = {};
  comparison.ours = capture_stack_trace(1);
  const auto append = [](_Unwind_Context* context, void* data) {
    auto& trace = *static_cast<StackTrace*>(data);
    const auto pc = _Unwind_GetIP(context);
    if (pc == 0 || trace.size == StackTrace::max_frames) return _URC_END_OF_STACK;
    trace.frames[trace.size++] = reinterpret_cast<void*>(pc);
    return _URC_NO_REASON;
  };
  _Unwind_Backtrace(append, &comparison.runtime);
  asm volatile("");
}

void expect_same_frames(const char* function) {
  const StackTrace& ours = comparison.ours;
  const StackTrace& runtime = comparison.runtime;  // begins with compare()
  ASSERT_EQ(ours.size, runtime.size - 1) << to_string(ours, 100, Frames::all) << "---\n"
                                         << to_string(runtime, 100, Frames::all);
  for (int i = 0; i < ours.size; ++i) EXPECT_EQ(ours.frames[i], runtime.frames[i + 1]) << i;
  EXPECT_NE(to_string(ours).find(function), std::string::npos) << to_string(ours);
}

int compare_integers(const void* left, const void* right) {
  compare();
  return *static_cast<const int*>(left) - *static_cast<const int*>(right);
}

[[gnu::noinline]] void call_through_libc() {
  int values[] = {3, 1, 2};
  std::qsort(values, std::size(values), sizeof values[0], compare_integers);
  asm volatile("");
}

TEST(StackTrace, GoesThroughLibrariesBuiltWithoutFramePointers) {
  call_through_libc();
  expect_same_frames("call_through_libc()");
  expect_in_order(to_string(comparison.ours), {"compare_integers", "call_through_libc()"});
}

// With both, gcc finds the caller by a word it keeps in the frame.
[[gnu::noinline]] void with_realigned_stack(std::size_t size) {
  alignas(256) volatile char buffer[512];
  auto* memory = static_cast<volatile char*>(__builtin_alloca(size));
  buffer[0] = 1;
  memory[0] = 1;
  compare();
  buffer[1] = buffer[0];
  memory[1] = memory[0];
}

TEST(StackTrace, GoesThroughFunctionsThatRealignTheirStack) {
  with_realigned_stack(100);
  expect_same_frames("with_realigned_stack(");
}

[[gnu::noinline]] void with_variable_frame(std::size_t size) {
  auto* memory = static_cast<volatile char*>(__builtin_alloca(size));
  memory[0] = 1;
  compare();
  memory[1] = memory[0];
}

TEST(StackTrace, GoesThroughFramesOfVariableSize) {
  for (const std::size_t size : {100u, 1000u, 50'000u}) {
    with_variable_frame(size);
    expect_same_frames("with_variable_frame(");
  }
}

#if !defined(__clang__)
// A user's code, whose compiler flags are not ours.
__attribute__((noinline, optimize("omit-frame-pointer"))) int without_frame_pointer(int value) {
  compare();
  asm volatile("" ::: "rbx", "rbp", "r12");
  return value + 1;
}
__attribute__((noinline, optimize("omit-frame-pointer"))) int without_frame_pointer_too(int value) {
  const int result = without_frame_pointer(value) + 1;
  asm volatile("" ::: "rbp");
  return result;
}

[[gnu::noinline, gnu::optimize("omit-frame-pointer")]] void with_large_frame() {
  volatile char memory[300'000];
  memory[0] = 1;
  compare();
  memory[1] = memory[0];
}

TEST(StackTrace, GoesThroughFramesTooLargeForTheTable) {
  with_large_frame();
  expect_same_frames("with_large_frame()");
  with_large_frame();
  expect_same_frames("with_large_frame()");
}

TEST(StackTrace, GoesThroughCodeWithoutFramePointers) {
  without_frame_pointer_too(1);
  expect_same_frames("without_frame_pointer_too(int)");
}
#endif

TEST(StackTrace, AgreesWithTheRuntimeInAThread) {
  std::thread([] { call_through_libc(); }).join();
  expect_same_frames("call_through_libc()");
}

// Stacks that are not running.

namespace context = boost::context::detail;

class SuspendedFiber {
 public:
  SuspendedFiber()
      : stack_(static_cast<std::byte*>(
            mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  ~SuspendedFiber() { munmap(stack_, size); }
  SuspendedFiber(const SuspendedFiber&) = delete;
  SuspendedFiber& operator=(const SuspendedFiber&) = delete;

  void start(void (*entry)(context::transfer_t)) {
    const context::fcontext_t fresh = context::make_fcontext(top(), size, entry);
    context_ = context::jump_fcontext(fresh, nullptr).fctx;
    // Its frames are never left, and what becomes of their memory is no longer AddressSanitizer's.
    ASAN_UNPOISON_MEMORY_REGION(stack_, size);
  }

  std::byte* base() const { return stack_; }
  std::byte* top() const { return stack_ + size; }
  void* saved() const { return context_; }

 private:
  static constexpr std::size_t size = 65536;
  std::byte* stack_;
  context::fcontext_t context_ = nullptr;
};

[[gnu::noinline]] void leave(context::transfer_t back) {
  context::jump_fcontext(back.fctx, nullptr);
  asm volatile("");
}

context::transfer_t way_back;

int leave_once(const void*, const void*) {
  if (way_back.fctx != nullptr) {
    const context::transfer_t back = way_back;
    way_back = {};
    leave(back);
  }
  return 0;
}

[[gnu::noinline]] void leave_in_libc() {
  int values[] = {1, 2};
  std::qsort(values, std::size(values), sizeof values[0], leave_once);
  asm volatile("");
}

void fiber_entry(context::transfer_t transfer) {
  way_back = transfer;
  leave_in_libc();
  std::abort();
}

TEST(SuspendedStack, IsWalkedToItsBase) {
  SuspendedFiber fiber;
  fiber.start(fiber_entry);
  const StackTrace trace = capture_suspended(fiber.saved(), fiber.base(), fiber.top());
  const std::string text = to_string(trace);
  expect_in_order(text, {"leave(", "leave_once", "leave_in_libc()", "fiber_entry("});
  EXPECT_LT(trace.size, 12) << to_string(trace, 100, Frames::all);
}

TEST(SuspendedStack, IsNotReadOutsideItsBounds) {
  SuspendedFiber fiber;
  fiber.start(fiber_entry);
  // What is above may be another's stack or no memory at all: here every page but the one in use.
  const auto sp = reinterpret_cast<std::uintptr_t>(fiber.saved());
  for (std::uintptr_t high = sp; high <= reinterpret_cast<std::uintptr_t>(fiber.top()); high += 8) {
    const StackTrace trace =
        capture_suspended(fiber.saved(), fiber.base(), reinterpret_cast<std::byte*>(high));
    EXPECT_LE(trace.size, 12);
  }
  EXPECT_EQ(capture_suspended(fiber.saved(), fiber.base(), fiber.base() + 64).size, 0);
}

TEST(SuspendedStack, FullOfGarbageEndsTheWalk) {
  SuspendedFiber fiber;
  fiber.start(fiber_entry);
  std::mt19937_64 random(1);
  const auto words = reinterpret_cast<std::uintptr_t*>(fiber.saved());
  const auto count =
      static_cast<std::size_t>(reinterpret_cast<std::uintptr_t*>(fiber.top()) - words);
  for (int round = 0; round < 2000; ++round) {
    for (std::size_t i = 0; i < count; ++i) {
      switch (random() % 3) {
        case 0:
          words[i] = random();
          break;
        case 1:
          words[i] = reinterpret_cast<std::uintptr_t>(words + random() % count);
          break;
        default:
          words[i] = reinterpret_cast<std::uintptr_t>(&leave) + random() % 64;
          break;
      }
    }
    const StackTrace trace = capture_suspended(fiber.saved(), fiber.base(), fiber.top());
    EXPECT_GE(trace.size, 1);
    UnwindContext context{
        .pc = words[8], .sp = reinterpret_cast<std::uintptr_t>(words + 9), .fp = words[7]};
    std::size_t steps = 0;
    const greenroom::detail::StackBounds bounds{
        .low = reinterpret_cast<std::uintptr_t>(fiber.base()),
        .high = reinterpret_cast<std::uintptr_t>(fiber.top())};
    while (unwind_step(context, bounds)) {
      ASSERT_LE(++steps, count) << "goes round in circles";
    }
  }
}

StackTrace interrupted;

void on_signal(int, siginfo_t*, void* raw) {
  const auto* registers = static_cast<const ucontext_t*>(raw)->uc_mcontext.gregs;
  interrupted = capture_stack_trace({.pc = static_cast<std::uintptr_t>(registers[REG_RIP]) + 1,
                                     .sp = static_cast<std::uintptr_t>(registers[REG_RSP]),
                                     .fp = static_cast<std::uintptr_t>(registers[REG_RBP])},
                                    {});
}

[[gnu::noinline]] void function_that_is_interrupted() {
  asm volatile("int3");
  asm volatile("");
}

TEST(InterruptedStack, BeginsWithTheFunctionThatWasInterrupted) {
  struct sigaction action = {};
  struct sigaction previous = {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, &previous);
  function_that_is_interrupted();
  sigaction(SIGTRAP, &previous, nullptr);
  const std::string text = to_string(interrupted);
  EXPECT_EQ(text.find("    at (anonymous namespace)::function_that_is_interrupted()"), 0u) << text;
  expect_in_order(text, {"function_that_is_interrupted()", "TestBody()"});
}

// A stub of a procedure linkage table, with what a linker writes about it: interrupted before and
// after its push.
asm(R"(
  .text
  .p2align 4
  .type interrupted_stub, @function
interrupted_stub:
  .cfi_startproc
  .cfi_escape 0x0f, 0x0b, 0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22
  int3
  .skip 5, 0x90
  pushq $0
  .skip 3, 0x90
  int3
  addq $8, %rsp
  ret
  .cfi_endproc
  .size interrupted_stub, . - interrupted_stub
)");
extern "C" void interrupted_stub();

std::array<StackTrace, 2> interrupted_stubs;
std::size_t interruptions = 0;

[[gnu::noinline]] void function_that_calls_a_stub() {
  interrupted_stub();
  asm volatile("");
}

TEST(InterruptedStack, GoesThroughStubsOfAProcedureLinkageTable) {
  struct sigaction action = {};
  struct sigaction previous = {};
  action.sa_sigaction = [](int number, siginfo_t* info, void* context) {
    on_signal(number, info, context);
    interrupted_stubs.at(interruptions++) = interrupted;
  };
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, &previous);
  interruptions = 0;
  function_that_calls_a_stub();
  sigaction(SIGTRAP, &previous, nullptr);
  ASSERT_EQ(interruptions, interrupted_stubs.size());
  for (const StackTrace& trace : interrupted_stubs)
    expect_in_order(to_string(trace), {"function_that_calls_a_stub()", "TestBody()"});
}

}  // namespace
