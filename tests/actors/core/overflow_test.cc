// A stack overflow of an actor, wherever it comes: each in a process of its own.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "greenroom/actors/actors.h"

namespace greenroom {
namespace overflow_test {

// Takes memory in each frame, as a parser of nested text does. Blocks of so many sizes that malloc
// mostly has to take its lock for one.
[[gnu::noinline]] int take_memory_for_ever(int depth) {
  if (depth < 0) return 0;  // never; without it the compilers refuse
  auto* block = static_cast<volatile char*>(std::malloc(1500 + depth * 7 % 3000));
  block[0] = static_cast<char>(depth);
  const int result = take_memory_for_ever(depth + 1) + block[0];
  asm volatile("");
  return result;
}

struct Parser {
  std::size_t offset;
  void operator()() const {
    auto* shift = static_cast<volatile char*>(__builtin_alloca(offset + 1));
    shift[0] = 0;
    take_memory_for_ever(shift[0]);
  }
};

namespace {

struct Ended {
  bool has_hung = false;
  int status = 0;
  std::string text;  // what it wrote to stderr
};

// Runs f in a child and waits for its end; a child that says nothing for a minute has hung.
template <class F>
Ended end_of_child(F f) {
  constexpr int patience = 60'000;
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
    f();
    ::_exit(0);
  }
  ::close(ends[1]);
  Ended ended;
  ::pollfd readable{ends[0], POLLIN, 0};
  char bytes[4096];
  for (;;) {
    if (::poll(&readable, 1, patience) == 0) {
      ended.has_hung = true;
      ::kill(child, SIGKILL);
      break;
    }
    const ssize_t count = ::read(ends[0], bytes, sizeof bytes);
    if (count <= 0) break;
    ended.text.append(bytes, static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  EXPECT_EQ(::waitpid(child, &ended.status, 0), child);
  return ended;
}

// Which instruction meets the guard is chance, so there are several offsets.
class OverflowInMalloc : public ::testing::TestWithParam<const char*> {};

TEST_P(OverflowInMalloc, IsReportedWithTheActorAndEndsTheProcess) {
  for (std::size_t offset = 0; offset < 4000; offset += 272) {
    const Ended ended = end_of_child([&] {
      ::setenv("GREENROOM_STALL_MS", GetParam(), 1);
      run([&] {
        spawn_link(Parser{offset});
        receive([](Exit&) {});
      });
    });
    ASSERT_FALSE(ended.has_hung) << "at offset " << offset << "\n" << ended.text;
    EXPECT_TRUE(WIFSIGNALED(ended.status) && WTERMSIG(ended.status) == SIGABRT) << ended.text;
    EXPECT_NE(ended.text.find("greenroom: stack overflow in actor <0."), std::string::npos)
        << ended.text;
    EXPECT_NE(ended.text.find("greenroom::overflow_test::Parser\n"), std::string::npos)
        << ended.text;
  }
}

// With the stall watch, and without it.
INSTANTIATE_TEST_SUITE_P(Watch, OverflowInMalloc, ::testing::Values("100", "0"));

TEST(Overflow, OfAnActorNamesItInFull) {
  const Ended ended = end_of_child([] {
    run([] {
      spawn_link(SpawnOptions{.name = "parser", .label = "of text"}, Parser{0});
      receive([](Exit&) {});
    });
  });
  EXPECT_NE(ended.text.find(" 'parser' of text\n"), std::string::npos) << ended.text;
}

}  // namespace
}  // namespace overflow_test
}  // namespace greenroom
