// spawn and its options: names, labels, stacks.

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

struct Go {};
struct Ready {};

TEST(Spawn, StartsAtTheEndOfTheReadyQueueAndNeverAtOnce) {
  in_actor([] {
    std::string order;
    spawn([&] { order += 'a'; });
    spawn([&] {
      spawn([&] { order += 'c'; });
      order += 'b';
    });
    EXPECT_EQ(order, "");
    yield();
    yield();
    EXPECT_EQ(order, "abc");
  });
}

TEST(Spawn, MovesTheCallableAndItsArgumentsIn) {
  in_actor([] {
    struct MoveOnly {
      std::unique_ptr<int> one = std::make_unique<int>(1);
      void operator()(std::unique_ptr<int> two, std::string three, Pid test) const {
        send(test, std::to_string(*one) + std::to_string(*two) + three);
      }
    };
    spawn(MoveOnly(), std::make_unique<int>(2), "3", self());
    EXPECT_EQ(next<std::string>(), "123");
  });
}

TEST(Spawn, DestroysTheCallableBeforeTheEndIsTold) {
  in_actor([] {
    auto owned = std::make_shared<int>(0);
    const std::weak_ptr<int> seen = owned;
    const Monitored actor = spawn_monitor([owned = std::move(owned)] {});
    end_of(actor);
    EXPECT_TRUE(seen.expired());
  });
}

TEST(Spawn, OfAFunctionPointerWorks) {
  in_actor([] {
    void (*function)(Pid) = [](Pid test) { send(test, Ready{}); };
    spawn(function, self());
    next<Ready>();
  });
}

TEST(Spawn, TellsTheParent) {
  in_actor([] {
    const Pid child = spawn([] { receive([](Go) {}); });
    EXPECT_EQ(process_info(child).parent, self());
    send(child, Go{});
  });
}

TEST(Spawn, FromHubWorkHasNoParent) {
  in_actor([] {
    Hub::current().post([test = self()] { spawn([test] { send(test, self()); }); });
    const Pid child = next<Pid>();
    EXPECT_FALSE(process_info(child).parent);
  });
}

TEST(SpawnOptionsLabel, IsInDescriptions) {
  in_actor([] {
    const Pid labelled =
        spawn(SpawnOptions{.name = "n", .label = "tea maker"}, [] { receive([](Go) {}); });
    const std::string text = process_info(labelled).label;
    EXPECT_NE(text.find("tea maker"), std::string::npos) << text;
    EXPECT_NE(text.find("'n'"), std::string::npos) << text;
    EXPECT_NE(text.find(labelled.to_string()), std::string::npos) << text;
    send(labelled, Go{});
  });
}

struct NamedCallable {
  // Not inlined: a trace shows functions that have a frame of their own.
  [[gnu::noinline]] void operator()() const {
    receive([](Go) {});
  }
};

TEST(SpawnOptionsLabel, IsTheFunctionsTypeByDefault) {
  in_actor([] {
    const Pid actor = spawn(NamedCallable());
    EXPECT_NE(process_info(actor).label.find("NamedCallable"), std::string::npos);
    send(actor, Go{});
  });
}

// Stacks.

struct Given {
  explicit Given(std::shared_ptr<int> given) : owned(std::move(given)) {}
  void handle(Go) {}
  std::shared_ptr<int> owned;
};

[[gnu::noinline]] int touch_a_megabyte() {
  volatile char room[1 << 20];
  for (std::size_t i = 0; i < sizeof room; i += 4096) room[i] = 1;
  return room[0];
}

TEST(SpawnOptionsStackSize, OverTheLargestIsRefusedAndWhatWasGivenEnds) {
  in_actor([] {
    const std::size_t before = processes().size();
    const auto owned = std::make_shared<int>(0);
    for (const std::size_t size : {(std::size_t{256} << 20) + 1, (std::size_t{4} << 30) + 1}) {
      EXPECT_THROW(spawn({.stack_size = size}, [owned] {}), std::invalid_argument);
      EXPECT_THROW(start<Given>(SpawnOptions{.stack_size = size}, owned), std::invalid_argument);
    }
    EXPECT_EQ(owned.use_count(), 1);
    EXPECT_EQ(processes().size(), before);
  });
}

TEST(SpawnOptionsStackSize, IsThereToBeUsed) {
  in_actor([] {
    const Monitored actor = spawn_monitor(SpawnOptions{.stack_size = 4 << 20}, [test = self()] {
      yield();
      send(test, touch_a_megabyte());
    });
    EXPECT_EQ(next<int>(), 1);
    EXPECT_EQ(end_of(actor), Reason::normal);
  });
}

// Nobody above it would know why: so it is said when it is thrown.
TEST(ThreadsOwnStack, SaysWhyItEnds) {
  testing::internal::CaptureStderr();
  EXPECT_THROW(stop(ExitReason("bored")), ActorExit);
  const Pid me = self();
  EXPECT_THROW(
      {
        spawn([me] { exit(me, ExitReason("told")); });
        sleep(10s);
      },
      ActorExit);
  detail::finish_crash_reports();
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("a thread's own stack, ends: bored"), std::string::npos) << text;
  EXPECT_NE(text.find("a thread's own stack, ends: told"), std::string::npos) << text;
}

}  // namespace
}  // namespace greenroom
