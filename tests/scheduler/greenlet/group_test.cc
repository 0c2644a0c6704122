// Groups: who is in one, and how it is joined, killed and mapped over. Over 400 lines: one class,
// and each of its calls left in each way.
#include "greenroom/scheduler/greenlet/group.h"

#include <gtest/gtest.h>

#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Event;
using green::Greenlet;
using green::Group;

using Log = std::vector<std::string>;

struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Says so when it ends.
struct Noted {
  ~Noted() { log.push_back(name + " ended"); }
  Log& log;
  std::string name;
};

// Who is in it.

TEST(Group, KeepsAGreenletATurnLongerThanItRuns) {
  Group group;
  std::vector<std::size_t> sizes;
  const auto one = group.spawn([] {});
  green::spawn([&] { sizes.push_back(group.size()); });
  EXPECT_TRUE(group.contains(one));
  yield();
  EXPECT_TRUE(one.ready());
  yield();
  EXPECT_EQ(sizes, std::vector<std::size_t>{1});
  EXPECT_EQ(group.size(), 0U);
  EXPECT_FALSE(group.contains(one));
}

TEST(Group, TakesInOneThatRunsAlreadyAndCountsItOnce) {
  Group group;
  Event go;
  const auto one = green::spawn([&] { go.wait(); });
  group.add(one);
  group.add(one);
  EXPECT_EQ(group.size(), 1U);
  EXPECT_EQ(group.greenlets(), std::vector<Greenlet<>>{one});
  go.set();
  EXPECT_TRUE(group.join());
  EXPECT_TRUE(one.ready());
}

TEST(Group, LetsOneGoThatHadEndedBeforeItCame) {
  Group group;
  const auto one = green::spawn([] {});
  one.join();
  group.add(one);
  EXPECT_TRUE(group.contains(one));
  EXPECT_TRUE(group.join());
  EXPECT_TRUE(group.empty());
}

TEST(Group, DoesNotHearOfOneThatWasDiscarded) {
  Group group;
  Event go;
  const auto one = group.spawn([&] { go.wait(); });
  group.discard(one);
  group.discard(one);
  EXPECT_FALSE(group.contains(one));
  EXPECT_TRUE(group.join(0s));
  EXPECT_FALSE(one.ready());
  go.set();
  one.join();
}

TEST(Group, MayEndBeforeItsGreenlets) {
  Event go;
  Greenlet<> one;
  {
    Group group;
    one = group.spawn([&] { go.wait(); });
  }
  go.set();
  one.join();
  EXPECT_TRUE(one.successful());
}

TEST(Group, MayEndBetweenTheEndOfAGreenletAndItsTurn) {
  auto group = std::make_unique<Group>();
  const auto one = group->spawn([] {});
  green::spawn([&] { group.reset(); });
  yield();
  EXPECT_TRUE(one.ready());
  yield();
}

TEST(Group, GreenletsOfSeveralHubsAreInOne) {
  testkit::simulate({.hubs = 2}, [] {
    Group group;
    Event go;
    for (int i = 0; i < 4; ++i) {
      spawn(SpawnOptions{.place = Placement::next_hub}, [&] { group.spawn([&] { go.wait(); }); });
    }
    while (group.size() < 4) sleep(1ms);
    const auto all = group.greenlets();
    group.discard(all[0]);
    group.discard(all[1]);
    go.set();
    group.join();
    for (const auto& greenlet : all) greenlet.join();
    EXPECT_TRUE(group.empty());
  });
}

TEST(Group, GreenletsOfAThreadThatEndsLeaveIt) {
  Group group;
  std::thread([&] {
    group.spawn([] { Event().wait(); });
    yield();
  }).join();
  EXPECT_TRUE(group.join(0s));
}

// join.

TEST(Group, JoinOfNobodyReturnsAtOnce) {
  Group group;
  bool has_run = false;
  green::spawn([&] { has_run = true; });
  EXPECT_TRUE(group.join());
  EXPECT_FALSE(has_run);
  yield();
}

TEST(Group, JoinEndsWhenItWasEmptyOnceThoughSomebodyHasComeSince) {
  Group group;
  Event never;
  group.spawn([] {}).on_exit([&](const Greenlet<>&) { group.spawn([&] { never.wait(); }); });
  EXPECT_TRUE(group.join());
  EXPECT_EQ(group.size(), 1U);
  group.kill();
}

TEST(Group, JoinGivesUpWhenItsTimeIsOver) {
  testkit::simulate({}, [] {
    Group group;
    group.spawn([] { sleep(3ms); });
    const auto start = clock::now();
    EXPECT_FALSE(group.join(2ms));
    EXPECT_EQ(clock::now() - start, 2ms);
    EXPECT_TRUE(group.join(1s));
    EXPECT_EQ(clock::now() - start, 3ms);
  });
}

TEST(Group, JoinMayBeKilled) {
  testkit::simulate({}, [] {
    Group group;
    Event go;
    group.spawn([&] { go.wait(); });
    const auto joiner = green::spawn([&] { group.join(); });
    sleep(1ms);
    joiner.kill();
    EXPECT_TRUE(joiner.ready());
    EXPECT_EQ(group.size(), 1U);
    go.set();
    group.join();
  });
}

// kill.

TEST(Group, KillWaitsUntilAllHaveGone) {
  Log log;
  Group group;
  for (const char* name : {"a", "b"}) {
    group.spawn([&log, name] {
      const Noted noted{log, name};
      Event().wait();
    });
  }
  yield();
  group.kill();
  EXPECT_EQ(log, (Log{"a ended", "b ended"}));
  EXPECT_TRUE(group.empty());
}

TEST(Group, KillHitsEachOnceAndWaitsForOneThatGoesOn) {
  testkit::simulate({}, [] {
    Group group;
    int hits = 0;
    const auto survivor = group.spawn([&] {
      for (;;) {
        try {
          sleep(5ms);
          return;
        } catch (const green::GreenletExit&) {
          ++hits;
        }
      }
    });
    yield();
    group.kill({}, 1ms);
    group.kill({}, 1ms);
    EXPECT_EQ(hits, 1);
    EXPECT_EQ(group.size(), 1U);
    group.kill();
    EXPECT_EQ(hits, 1);
    EXPECT_TRUE(survivor.successful());
  });
}

TEST(Group, KillThatDoesNotWaitLeavesTheCountUntilALaterTurn) {
  Group group;
  group.spawn([] { Event().wait(); });
  group.spawn([] { Event().wait(); });
  yield();
  group.kill({}, 0s);
  EXPECT_EQ(group.size(), 2U);
  yield();
  yield();
  EXPECT_EQ(group.size(), 0U);
}

TEST(Group, KillReachesThoseThatComeMeanwhile) {
  Group group;
  group.spawn([&] {
    try {
      Event().wait();
    } catch (...) {
      group.spawn([] { Event().wait(); });
      throw;
    }
  });
  yield();
  group.kill();
  EXPECT_TRUE(group.empty());
}

TEST(Group, KillThrowsWhatItIsGiven) {
  Group group;
  const auto one = group.spawn([] { Event().wait(); });
  const auto unstarted = group.spawn([] { ADD_FAILURE() << "it was killed before it ran"; });
  group.kill(std::make_exception_ptr(Failed("enough")));
  EXPECT_THROW(one.get(), Failed);
  EXPECT_THROW(unstarted.get(), Failed);
}

TEST(Group, KillByOneOfItsOwnHitsThatOneToo) {
  Group group;
  bool has_returned = false;
  const auto other = group.spawn([] { Event().wait(); });
  const auto one = group.spawn([&] {
    group.kill();
    has_returned = true;
  });
  group.join();
  EXPECT_TRUE(one.ready() && other.ready());
  EXPECT_FALSE(has_returned);
}

// map.

TEST(Group, MapGivesResultsInTheRangesOrder) {
  testkit::simulate({}, [] {
    Group group;
    const auto later = [](int n) {
      sleep((5 - n) * 1ms);
      return n * n;
    };
    EXPECT_EQ(group.map(later, std::vector{1, 2, 3}), (std::vector{1, 4, 9}));
    EXPECT_TRUE(group.empty());
  });
}

TEST(Group, MapOfNothingIsNothing) {
  Group group;
  EXPECT_TRUE(group.map([](int n) { return n; }, std::vector<int>()).empty());
}

TEST(Group, MapTakesFunctionsWithoutAResultAndResultsThatOnlyMove) {
  Group group;
  int sum = 0;
  EXPECT_EQ(group.map([&](int n) { sum += n; }, std::list{1, 2, 3}).size(), 3U);
  EXPECT_EQ(sum, 6);
  const auto owners = group.map([](int n) { return std::make_unique<int>(n); }, std::vector{7, 8});
  EXPECT_EQ(*owners[0] + *owners[1], 15);
  const std::vector<bool> flags =
      group.map([](bool flag) { return !flag; }, std::vector{true, false});
  EXPECT_EQ(flags, (std::vector{false, true}));
}

TEST(Group, MapGivesItsFunctionTheItemsThemselves) {
  Group group;
  std::vector<std::string> words{"a", "b"};
  group.map([](std::string& word) { word += "!"; }, words);
  EXPECT_EQ(words, (std::vector<std::string>{"a!", "b!"}));
}

TEST(Group, MapRethrowsTheFirstErrorInTheRangesOrderAndEndsTheRest) {
  testkit::simulate({}, [] {
    Log log;
    Group group;
    const auto work = [&](int n) {
      const Noted noted{log, std::to_string(n)};
      if (n == 3) throw Failed("three, which is first to fail");
      sleep(n == 2 ? 1ms : n * 10ms);
      if (n == 2) throw Failed("two, which comes first");
      log.push_back(std::to_string(n) + " done");
    };
    try {
      group.map(work, std::vector{0, 2, 3, 4});
      ADD_FAILURE();
    } catch (const Failed& failed) {
      EXPECT_STREQ(failed.what(), "two, which comes first");
    }
    EXPECT_EQ(log.back(), "4 ended");
    EXPECT_EQ(std::count(log.begin(), log.end(), "4 done"), 0);
    EXPECT_TRUE(group.join(0s));
  });
}

// What is killed with the caller must not touch the caller's any more.
template <class Call>
void expect_to_end_what_it_started(Call call) {
  testkit::simulate({}, [&] {
    Log log;
    Group group;
    const auto work = [&](int n) {
      const Noted noted{log, std::to_string(n)};
      sleep(1h);
      return n;
    };
    const auto caller = green::spawn([&] {
      const Noted noted{log, "caller"};
      call(group, work);
    });
    sleep(1ms);
    auto start = clock::now();
    caller.kill();
    EXPECT_EQ(clock::now(), start);
    EXPECT_EQ(log.back(), "caller ended");
    EXPECT_GE(log.size(), 2U);
    log.clear();
    start = clock::now();
    EXPECT_EQ(try_for(1ms, [&] { call(group, work); }), false);
    EXPECT_EQ(clock::now() - start, 1ms);
    EXPECT_FALSE(log.empty());
    sleep(1ms);
    EXPECT_TRUE(group.empty());
  });
}

TEST(Group, MapThatIsLeftEndsWhatItHasStarted) {
  expect_to_end_what_it_started([](Group& group, auto& work) {
    group.map(work, std::vector{1, 2});
  });
}

TEST(Group, ApplyThatIsLeftEndsWhatItHasStarted) {
  expect_to_end_what_it_started([](Group& group, auto& work) { group.apply(work, 1); });
}

TEST(Group, ReadingAnImapThatIsLeftEndsWhatItHasStarted) {
  expect_to_end_what_it_started([](Group& group, auto& work) {
    for (const int n : group.imap(work, std::vector{1, 2})) ADD_FAILURE() << n;
  });
}

// apply.

TEST(Group, ApplyGivesWhatTheFunctionReturnsOrThrows) {
  Group group;
  EXPECT_EQ(group.apply([](int a, int b) { return a + b; }, 1, 2), 3);
  EXPECT_EQ(*group.apply([] { return std::make_unique<int>(5); }), 5);
  EXPECT_THROW(group.apply([] { throw Failed("no"); }), Failed);
  EXPECT_TRUE(group.join());
}

TEST(Group, ApplyByOneOfItsOwnIsCalledRightThere) {
  Group group;
  group
      .spawn([&] {
        const auto here = detail::enter_blocking_call().hub->current_task();
        group.apply([&] { EXPECT_EQ(detail::enter_blocking_call().hub->current_task(), here); });
      })
      .get();
}

TEST(Group, ApplyAsyncGivesAGreenlet) {
  Group group;
  const Greenlet<int> one = group.apply_async([](int n) { return n + 1; }, 1);
  EXPECT_TRUE(group.contains(one));
  EXPECT_EQ(one.get(), 2);
}

TEST(Group, MayBeKilledByADestructorOfOneOfItsOwn) {
  Group group;
  struct Killer {
    ~Killer() { group.kill(); }
    Group& group;
  };
  const auto other = group.spawn([] { Event().wait(); });
  const auto one = group.spawn([&] { const Killer killer{group}; });
  one.join();
  EXPECT_TRUE(other.ready());
  EXPECT_TRUE(group.join());
}

TEST(Group, ApplyByTheRootThatIsInItIsCalledRightThere) {
  Group group;
  group.add(green::getcurrent());
  bool has_parked = false;
  green::spawn([&] { has_parked = true; });
  EXPECT_EQ(group.apply([] { return 5; }), 5);
  EXPECT_FALSE(has_parked);
  group.discard(green::getcurrent());
  yield();
}

TEST(Group, KnowsOneOfAnotherHubBeforeItsHubHasHeardOfIt) {
  testkit::simulate({.hubs = 2}, [] {
    Group group;
    Event go;
    Greenlet<> there;
    const auto owner = spawn_monitor(SpawnOptions{.place = Placement::next_hub}, [&] {
      there = green::getcurrent();
      go.wait();
      EXPECT_TRUE(group.contains(there));
      group.add(there);
      EXPECT_EQ(group.size(), 1U);
    });
    while (!there) sleep(1ms);
    group.add(there);
    go.set();
    receive([&](const Down& down) { EXPECT_EQ(down.ref, owner.ref); });
    group.discard(there);
  });
}

}  // namespace
}  // namespace greenroom
