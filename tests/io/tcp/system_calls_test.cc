// What a round of question and answer asks of the kernel. recv, send and epoll_ctl are this file's.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <atomic>

#include "greenroom/io/stream/lines.h"
#include "greenroom/tests/io/hang_guard.h"
#include "greenroom/tests/io/loopback.h"

namespace {

std::atomic<int> receives{0};
std::atomic<int> sends{0};
std::atomic<int> changes_of_interest{0};

template <class Function>
Function next_of(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

// In the place of the C library's.
// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
extern "C" ssize_t recv(int fd, void* room, std::size_t size, int flags) {
  static const auto real = next_of<ssize_t (*)(int, void*, std::size_t, int)>("recv");
  ++receives;
  return real(fd, room, size, flags);
}

extern "C" ssize_t send(int fd, const void* data, std::size_t size, int flags) {
  static const auto real = next_of<ssize_t (*)(int, const void*, std::size_t, int)>("send");
  ++sends;
  return real(fd, data, size, flags);
}

extern "C" int epoll_ctl(int loop, int operation, int fd, epoll_event* event) noexcept {
  static const auto real = next_of<int (*)(int, int, int, epoll_event*)>("epoll_ctl");
  ++changes_of_interest;
  return real(loop, operation, fd, event);
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)

namespace greenroom {
namespace {

[[maybe_unused]] const bool is_guarded = hang_guard::fail_tests_that_hang();

constexpr int rounds = 100;

// A peer asks, `answer` answers on a greenlet of its own, until the stream ends. Both sides count.
template <class Answer>
void expect_one_call_each(Answer answer) {
  loopback::Pair pair = loopback::connected();
  auto answering = green::spawn([&] { answer(pair.server); });
  const auto ask = [&] {
    pair.client.write_all("question\n");
    EXPECT_EQ(loopback::read_some_text(pair.client), "answer\n");
  };
  for (int i = 0; i < 3; ++i) ask();
  receives = sends = changes_of_interest = 0;
  for (int i = 0; i < rounds; ++i) ask();
  EXPECT_EQ(receives, 2 * rounds);
  EXPECT_EQ(sends, 2 * rounds);
  EXPECT_EQ(changes_of_interest, 0);
  pair.client.close();
  answering.get();
}

TEST(SystemCalls, RoundOfBytesIsOneReceiveAndOneSendOnEachSide) {
  expect_one_call_each([](tcp::Stream& stream) {
    while (!loopback::read_some_text(stream).empty()) stream.write_all("answer\n");
  });
}

TEST(SystemCalls, RoundOfLinesIsOneReceiveAndOneSendOnEachSide) {
  expect_one_call_each([](tcp::Stream& stream) {
    tcp::Lines lines(stream);
    while (lines.next()) stream.write_all("answer\n");
  });
}

}  // namespace
}  // namespace greenroom
