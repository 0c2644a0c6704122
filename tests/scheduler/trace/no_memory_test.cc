// What goes on when malloc has nothing left. Each in a process of its own, which nothing was thrown
// in before.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <new>

#include "greenroom/scheduler/green.h"

namespace greenroom {
namespace {

void use_up_memory() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const ::rlim_t limit = pages * 4096 + (16 << 20);
  const ::rlimit limits{limit, limit};
  ::setrlimit(RLIMIT_AS, &limits);
  // Kept for ever, and by nobody: small ones last, as they come from what larger ones leave, and of
  // each size, as what was freed waits for one of its own.
  const auto use_up = [](std::size_t size) {
    while (void* volatile block = std::malloc(size)) static_cast<void>(block);
  };
  for (std::size_t size = 1 << 20; size > 1024; size /= 2) use_up(size);
  for (std::size_t size = 1024; size >= 16; size -= 16) use_up(size);
}

[[gnu::noinline]] int make_number() { return 7; }

TEST(NoMemory, IsNoObstacleToAThrow) {
  EXPECT_EXIT(
      {
        use_up_memory();
        try {
          throw std::bad_alloc();  // as operator new does
        } catch (const std::bad_alloc&) {
          ::_exit(7);
        }
      },
      testing::ExitedWithCode(7), "");
}

TEST(NoMemory, IsNoObstacleToALocalStatic) {
  EXPECT_EXIT(
      {
        use_up_memory();
        static const int number = make_number();
        ::_exit(number);
      },
      testing::ExitedWithCode(7), "");
}

struct ParkedInit {
  ParkedInit() { sleep(std::chrono::hours(1)); }
};

// A static for each of them.
template <int n>
void enter_statics() {
  if constexpr (n > 0) {
    green::spawn([] { static const ParkedInit parked; });
    enter_statics<n - 1>();
  }
}

TEST(NoMemory, EndsTheProcessWithAMessageWhereOneInitialiserTooManyIsParked) {
  EXPECT_EXIT(
      {
        enter_statics<32>();
        yield();
        use_up_memory();
        static const int number = make_number();
        ::_exit(number);
      },
      testing::KilledBySignal(SIGABRT), "no memory left to note down that a local static");
}

}  // namespace
}  // namespace greenroom
