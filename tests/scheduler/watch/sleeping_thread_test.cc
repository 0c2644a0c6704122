#include "greenroom/scheduler/watch/sleeping_thread.h"

#include <alloca.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/scheduler/system/sanitizers.h"

namespace greenroom::detail {
namespace {

// A thread that reads from an empty pipe, and its stack as it has seen it itself just before.
struct Reader {
  int ends[2] = {};
  std::atomic<pid_t> id{0};
  std::atomic<std::uintptr_t> stack_end{0};
  StackTrace seen = {};
  ssize_t result = 0;
};

// In the frame of each function below: only the innermost one's size has to be found out.
[[gnu::always_inline]] inline void wait_for_byte(Reader& reader) {
  pthread_attr_t attributes;
  pthread_getattr_np(pthread_self(), &attributes);
  void* base = nullptr;
  std::size_t size = 0;
  pthread_attr_getstack(&attributes, &base, &size);
  pthread_attr_destroy(&attributes);
  reader.stack_end = reinterpret_cast<std::uintptr_t>(base) + size;
  reader.seen = capture_stack_trace();
  reader.id = gettid();
  char byte = 0;
  reader.result = read(reader.ends[0], &byte, 1);
  asm volatile("" ::: "memory");  // so that the call is none that becomes a jump
}

[[gnu::noinline]] void use(void* memory) { asm volatile("" ::"r"(memory) : "memory"); }

[[gnu::noinline]] void plain(Reader& reader) { wait_for_byte(reader); }

// Leaves old frames behind, where the next function of a large frame has its own.
[[gnu::noinline]] int litter(int depth) {
  char some[64] = {};
  use(some);
  return depth == 0 ? some[0] : litter(depth - 1) + some[1];
}

[[gnu::noinline]] void after_litter(Reader& reader) {
  litter(50);
  char large[3000];
  use(large);
  wait_for_byte(reader);
}

[[gnu::noinline]] void larger_than_pages(Reader& reader) {
  litter(500);
  char large[50'000];
  use(large);
  wait_for_byte(reader);
}

[[gnu::noinline]] void with_alloca(Reader& reader) {
  use(alloca(static_cast<std::size_t>(reader.ends[0]) * 64));
  wait_for_byte(reader);
}

[[gnu::noinline]] void with_many_arguments(Reader& reader, int a, int b, int c, int d, int e, int f,
                                           int g) {
  wait_for_byte(reader);
  use(&a), use(&b), use(&c), use(&d), use(&e), use(&f), use(&g);
}
[[gnu::noinline]] void with_pushed_arguments(Reader& reader) {
  with_many_arguments(reader, 1, 2, 3, 4, 5, 6, 7);
  asm volatile("" ::: "memory");
}

[[gnu::noinline]] void aligned(Reader& reader) {
  alignas(64) char some[128];
  use(some);
  wait_for_byte(reader);
}

[[gnu::noinline]] void recursive(Reader& reader, int depth) {
  char some[200];
  use(some);
  if (depth == 0) return wait_for_byte(reader);
  recursive(reader, depth - 1);
  asm volatile("" ::: "memory");
}
void recursion(Reader& reader) { recursive(reader, 5); }

struct Shape {
  const char* name;
  void (*wait)(Reader& reader);
  bool is_whole;  // its frame's size can be told; else the trace ends there
};
std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.name; }

class SleepingThread : public testing::TestWithParam<Shape> {};
INSTANTIATE_TEST_SUITE_P(
    Shapes, SleepingThread,
    testing::Values(Shape{"plain", &plain, true}, Shape{"after_litter", &after_litter, true},
                    Shape{"larger_than_pages", &larger_than_pages, true},
                    Shape{"with_alloca", &with_alloca, false},
                    Shape{"with_pushed_arguments", &with_pushed_arguments, false},
                    Shape{"aligned", &aligned, false}, Shape{"recursion", &recursion, true}),
    [](const auto& info) { return std::string(info.param.name); });

SystemCall wait_until_in_call(const Reader& reader, long number) {
  for (;;) {
    if (reader.id != 0) {
      const auto call = system_call_of(reader.id);
      if (call && call->number == number) return *call;
    }
    std::this_thread::yield();
  }
}

// Innermost are the C library's read() and its caller, which has gone on since.
TEST_P(SleepingThread, IsSeenFromOutsideAsItSeesItselfAndSleepsOn) {
  Reader reader;
  ASSERT_EQ(pipe(reader.ends), 0);
  std::thread thread([&] { GetParam().wait(reader); });
  const SystemCall call = wait_until_in_call(reader, SYS_read);
  const auto stack = copy_stack(call.sp, reader.stack_end);
  EXPECT_EQ(system_call_of(reader.id), call);
  const StackTrace trace = capture_sleeping(call, stack);
  ASSERT_EQ(write(reader.ends[1], "x", 1), 1);
  thread.join();
  EXPECT_EQ(reader.result, 1);
  close(reader.ends[0]);
  close(reader.ends[1]);

  const auto text = to_string(trace, 99, Frames::all) + "and of itself:\n" +
                    to_string(reader.seen, 99, Frames::all);
  int first = 0;
  while (first < trace.size && trace.frames[first] != reader.seen.frames[1]) ++first;
  for (int i = 0; first + i < trace.size; ++i) {
    ASSERT_LT(i + 1, reader.seen.size) << text;
    EXPECT_EQ(trace.frames[first + i], reader.seen.frames[i + 1]) << text;
  }
  if (GetParam().is_whole) {
    EXPECT_EQ(trace.size - first, reader.seen.size - 1) << text;
  }
}

TEST(SleepingThread, IsNoneThatRuns) {
  std::atomic<pid_t> id{0};
  std::atomic<bool> is_over{false};
  std::thread thread([&] {
    id = gettid();
    while (!is_over) {
    }
  });
  while (id == 0) std::this_thread::yield();
  EXPECT_EQ(system_call_of(id), std::nullopt);
  is_over = true;
  thread.join();
}

TEST(SleepingThread, HasNoStackWhereNothingIsMapped) { EXPECT_TRUE(copy_stack(8, 4096).empty()); }

}  // namespace
}  // namespace greenroom::detail
