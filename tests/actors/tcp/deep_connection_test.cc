// A connection whose input decides how deep it goes: std::regex needs 500 to 1050 bytes of stack
// for each byte of a line that it matches with (a|b|c)*.
#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <utility>

#include "greenroom/scheduler/system/sanitizers.h"
#include "greenroom/tests/actors/probe.h"
#include "greenroom/tests/actors/stack_room.h"

namespace greenroom {
namespace {

using namespace probe;

#if defined(GREENROOM_ASAN) || defined(GREENROOM_TSAN)
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif

bool matches(const std::string& line) { return std::regex_match(line, std::regex("(a|b|c)*")); }

void answer_each(tcp::Stream& stream, bool (*judge)(const std::string&)) {
  tcp::Lines lines(stream, 1 << 16);
  while (const auto line = lines.next()) stream.write_all(judge(*line) ? "yes\n" : "no\n");
}
void connection(tcp::Stream stream) { answer_each(stream, &matches); }
void deep_connection(tcp::Stream stream) {
  answer_each(stream, [](const std::string& line) {
    return on_stack(std::size_t{8} << 20, [&] { return matches(line); });
  });
}

// A server of its own for each: what it answers to a line of so many bytes, over real TCP.
template <class F>
std::string answer_to(std::size_t bytes, tcp::ServeOptions options, F connection) {
  trap_exits();
  options.listen = {"127.0.0.1", 0};
  options.connections = "connections";
  options.on_listening = [test = self()](const tcp::Endpoint& at) { send(test, at); };
  const Pid tree = start_supervisor(
      supervisor({.children = {dynamic_supervisor({.id = "connections"}),
                               tcp::serve({.id = "acceptor"}, std::move(options), connection)}}));
  tcp::Stream client = tcp::connect(next<tcp::Endpoint>(), patience);
  std::string line;
  while (line.size() < bytes) line += "abc"[line.size() % 3];
  client.write_all(line + "\n");
  tcp::Lines lines(client);
  std::string answer = lines.next(patience).value_or("the end");
  exit(tree, Reason::shutdown);
  next<Exit>();
  return answer;
}

TEST(DeepConnection, AnswersALineOf250BytesWithDefaultOptions) {
  if (is_sanitized) GTEST_SKIP() << "frames are larger";
  in_actor([] { EXPECT_EQ(answer_to(250, {}, connection), "yes"); });
}

TEST(DeepConnection, AnswersALineOf1000BytesWithAStackOf1MiB) {
  if (is_sanitized) GTEST_SKIP() << "frames are larger";
  in_actor(
      [] { EXPECT_EQ(answer_to(1000, {.stack_size = std::size_t{1} << 20}, connection), "yes"); });
}

TEST(DeepConnection, AnswersALineOf10000BytesOnAStackOfItsOwn) {
  if (is_sanitized) GTEST_SKIP() << "frames are larger";
  in_actor([] { EXPECT_EQ(answer_to(10000, {}, deep_connection), "yes"); });
}

TEST(DeepConnectionDeathTest, ReportNamesTheActorWhoseStackIsUsedUp) {
  if (is_sanitized) GTEST_SKIP() << "the sanitizers handle faults themselves";
  EXPECT_DEATH(in_actor([] { answer_to(1000, {}, connection); }),
               "stack overflow in actor <0\\.[0-9]+\\.[0-9]+>(.|\n)*raise its stack_size");
  EXPECT_DEATH(in_actor([] { answer_to(40000, {}, deep_connection); }),
               "stack overflow in actor <0\\.[0-9]+\\.[0-9]+>(.|\n)*deep_connection");
}

TEST(DeepConnection, StackIsWhatServeOptionsSay) {
  const auto tell = [](tcp::Stream stream) {
    stream.write_all(std::to_string(stack_room() / kib) + "\n");
  };
  in_actor([&] {
    EXPECT_EQ(answer_to(1, {}, tell), "256");
    EXPECT_EQ(answer_to(1, {.stack_size = 32 * kib}, tell), "32");
    EXPECT_EQ(answer_to(1, {.stack_size = 0}, tell), "64");
  });
}

TEST(DeepConnection, PlaceIsWhatServeOptionsSay) {
  on_hubs(2, [] {
    const auto tell = [here = self().hub](tcp::Stream stream) {
      stream.write_all(self().hub == here ? "here\n" : "elsewhere\n");
    };
    EXPECT_EQ(answer_to(1, {}, tell), "here");
    EXPECT_EQ(answer_to(1, {.place = elsewhere()}, tell), "elsewhere");
  });
}

}  // namespace
}  // namespace greenroom
