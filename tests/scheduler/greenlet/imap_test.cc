// imap and imap_unordered: results that come one after another.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Group;
using green::Pool;
using green::Results;

struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class R>
std::vector<R> all_of(Results<R> results) {
  std::vector<R> all;
  for (R& result : results) all.push_back(std::move(result));
  return all;
}

// Numbers from 0 on, made when they are asked for; throws at one of them if told to.
class Counting {
 public:
  class Iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;
    explicit Iterator(Counting& from) : from_(&from) {}
    int operator*() const { return from_->next_; }
    Iterator& operator++() {
      if (++from_->next_ == from_->failing_) throw Failed("no more numbers");
      return *this;
    }
    void operator++(int) { ++*this; }
    bool is_at_end() const { return from_->next_ == from_->end_; }
    friend bool operator==(const Iterator& at, std::default_sentinel_t) { return at.is_at_end(); }

   private:
    Counting* from_;
  };
  explicit Counting(int end, int failing = -1) : end_(end), failing_(failing) {}
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() { return {}; }
  int asked() const { return next_; }

 private:
  int next_ = 0;
  int end_;
  int failing_;
};

int slower_at_first(int n) {
  sleep((10 - n) * 1ms);
  return n;
}

TEST(Imap, GivesResultsInTheOrderOfTheItems) {
  testkit::simulate({}, [] {
    Group group;
    EXPECT_EQ(all_of(group.imap(slower_at_first, std::vector{1, 2, 3})), (std::vector{1, 2, 3}));
    EXPECT_TRUE(group.join(0s));
  });
}

TEST(Imap, UnorderedGivesThemInTheOrderOfTheirEnds) {
  testkit::simulate({}, [] {
    Group group;
    EXPECT_EQ(all_of(group.imap_unordered(slower_at_first, std::vector{1, 2, 3})),
              (std::vector{3, 2, 1}));
  });
}

TEST(Imap, GivesAResultAsSoonAsItIsItsTurn) {
  testkit::simulate({}, [] {
    Group group;
    const auto start = clock::now();
    auto results = group.imap([](int n) { return sleep(n * 1ms), n; }, std::vector{1, 5});
    EXPECT_EQ(results.next(), 1);
    EXPECT_EQ(clock::now() - start, 1ms);
    EXPECT_EQ(results.next(), 5);
    EXPECT_EQ(results.next(), std::nullopt);
    EXPECT_EQ(results.next(), std::nullopt);
  });
}

TEST(Imap, OfNothingIsAtItsEnd) {
  Group group;
  EXPECT_EQ(group.imap([](int n) { return n; }, std::vector<int>()).next(), std::nullopt);
  EXPECT_EQ(group.imap_unordered([](int n) { return n; }, std::vector<int>()).next(), std::nullopt);
}

TEST(Imap, TakesFunctionsWithoutAResultAndResultsThatOnlyMove) {
  Group group;
  int calls = 0;
  for (const std::monostate nothing : group.imap([&](int) { ++calls; }, std::vector{1, 2}))
    static_cast<void>(nothing);
  EXPECT_EQ(calls, 2);
  auto owners = group.imap([](int n) { return std::make_unique<int>(n); }, std::vector{4});
  EXPECT_EQ(**owners.next(), 4);
}

TEST(Imap, RethrowsAnErrorAtItsPlaceAndGoesOn) {
  Group group;
  for (const bool is_ordered : {true, false}) {
    const auto work = [](int n) { return n == 2 ? throw Failed("two") : n; };
    const std::vector items{1, 2, 3};
    auto results = is_ordered ? group.imap(work, items) : group.imap_unordered(work, items);
    EXPECT_EQ(results.next(), 1);
    EXPECT_THROW(results.next(), Failed);
    EXPECT_EQ(results.next(), 3);
    EXPECT_EQ(results.next(), std::nullopt);
  }
}

TEST(Imap, RethrowsAnErrorOfTheRangeAfterAllResults) {
  Group group;
  for (const bool is_ordered : {true, false}) {
    const auto work = [](int n) { return yield(), n; };
    auto results =
        is_ordered ? group.imap(work, Counting(5, 2)) : group.imap_unordered(work, Counting(5, 2));
    EXPECT_EQ(results.next(), 0);
    EXPECT_EQ(results.next(), 1);
    EXPECT_THROW(results.next(), Failed);
    EXPECT_EQ(results.next(), std::nullopt);
  }
}

TEST(Imap, WalksTheRangeAsFarAsThePoolHasRoom) {
  testkit::simulate({}, [] {
    Pool pool(2);
    Counting numbers(1'000'000'000);
    auto results = pool.imap([](int n) { return sleep(1ms), n; }, numbers);
    EXPECT_EQ(numbers.asked(), 0);
    EXPECT_EQ(results.next(), 0);
    EXPECT_LE(numbers.asked(), 4);
    EXPECT_LE(pool.size(), 2U);
  });
}

TEST(Imap, StartsNoMoreThanMayLieUnread) {
  testkit::simulate({}, [] {
    Group group;
    int started = 0;
    const auto work = [&](int n) { return ++started, n; };
    auto results = group.imap_unordered(work, Counting(1'000'000'000), {.max_size = 3});
    sleep(1ms);
    EXPECT_EQ(started, 3);
    for (int n = 0; n < 10; ++n) {
      EXPECT_EQ(results.next(), n);
      sleep(1ms);
      EXPECT_EQ(started, 4 + n);
    }
  });
}

TEST(Imap, ANextThatTimesOutMakesNoMoreRoom) {
  testkit::simulate({}, [] {
    Group group;
    int started = 0;
    const auto work = [&](int n) { return ++started, sleep(1h), n; };
    auto results = group.imap(work, Counting(100), {.max_size = 1});
    for (int i = 0; i < 5; ++i) EXPECT_THROW(results.next(1ms), TimeoutError);
    EXPECT_EQ(started, 2);
  });
}

TEST(Imap, OwnsARangeThatIsNobodys) {
  Group group;
  auto results = [&] {
    return group.imap([](const std::string& word) { return word + "!"; },
                      std::vector<std::string>{"a word that is long enough to be on the heap"});
  }();
  EXPECT_EQ(results.next(), "a word that is long enough to be on the heap!");
}

TEST(Imap, EndsWhatStillRunsWithTheResults) {
  testkit::simulate({}, [] {
    Pool pool(3);
    int ended = 0;
    struct AtEnd {
      ~AtEnd() { ++ended; }
      int& ended;
    };
    {
      const auto work = [&ended](int n) {
        const AtEnd at_end{ended};
        return sleep(n * 1ms), n;
      };
      auto results = pool.imap(work, Counting(1000));
      EXPECT_EQ(results.next(), 0);
      EXPECT_EQ(results.next(), 1);
      const int before = ended;
      results = pool.imap(work, std::vector{1});
      EXPECT_EQ(ended, before + 3);
    }
    EXPECT_TRUE(pool.join(0s));
  });
}

TEST(Imap, MayOutliveItsGroup) {
  std::optional<Results<int>> results;
  {
    Group group;
    results.emplace(group.imap([](int n) { return yield(), n; }, std::vector{1, 2}));
  }
  EXPECT_EQ(results->next(), 1);
  EXPECT_EQ(results->next(), 2);
}

// next.

TEST(Results, NextThatTimesOutLosesNothing) {
  testkit::simulate({}, [] {
    Group group;
    auto results = group.imap([](int n) { return sleep(2ms), n; }, std::vector{1});
    EXPECT_THROW(results.next(0s), TimeoutError);
    const auto start = clock::now();
    EXPECT_THROW(results.next(1ms), TimeoutError);
    EXPECT_EQ(clock::now() - start, 1ms);
    EXPECT_EQ(results.next(), 1);
  });
}

TEST(Results, NextMayBeKilledAndLosesNothing) {
  testkit::simulate({}, [] {
    Group group;
    auto results = group.imap([](int n) { return sleep(2ms), n; }, std::vector{1});
    const auto reader = green::spawn([&] { results.next(); });
    sleep(1ms);
    reader.kill();
    EXPECT_EQ(results.next(), 1);
  });
}

TEST(Results, NextThatTimesOutAtTheMomentOfItsResultGivesItOnce) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    testkit::simulate({.seed = seed}, [] {
      Group group;
      auto results = group.imap([](int n) { return sleep(1ms), n; }, std::vector{1});
      std::optional<int> first;
      try {
        first = results.next(1ms);
      } catch (const TimeoutError&) {
        first = results.next();
      }
      EXPECT_EQ(first, 1);
      EXPECT_EQ(results.next(), std::nullopt);
    });
  }
}

TEST(Results, AreForOneReaderAtATime) {
  testkit::simulate({}, [] {
    Group group;
    auto results = group.imap([](int n) { return sleep(2ms), n; }, std::vector{1});
    const auto reader = green::spawn([&] { EXPECT_EQ(results.next(), 1); });
    sleep(1ms);
    EXPECT_THROW(results.next(), std::logic_error);
    reader.get();
  });
}

TEST(Results, ThatWereMovedAwaySaySo) {
  Group group;
  auto results = group.imap([](int n) { return n; }, std::vector{1});
  auto others = std::move(results);
  EXPECT_THROW(results.next(), std::logic_error);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(others.next(), 1);
}

TEST(Results, AreReadOnAnotherHub) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    testkit::simulate({.seed = seed, .hubs = 2}, [] {
      Pool pool(2);
      std::vector<int> read;
      auto results =
          pool.imap([](int n) { return yield(), n; }, std::vector{1, 2, 3, 4}, {.max_size = 2});
      const auto reader = spawn_monitor(SpawnOptions{.place = Placement::next_hub}, [&] {
        while (const auto result = results.next()) read.push_back(*result);
      });
      receive([&](const Down& down) { EXPECT_EQ(down.ref, reader.ref); });
      EXPECT_EQ(read, (std::vector{1, 2, 3, 4}));
    });
  }
}

// What the function owns may refer to what the reader has.
TEST(Imap, ItsFunctionIsGoneWithTheResults) {
  Pool pool(2);
  const auto owned = std::make_shared<int>(1);
  for (const int n : pool.imap([owned](int item) { return item; }, std::vector{1, 2, 3}))
    EXPECT_GT(n, 0);
  EXPECT_EQ(owned.use_count(), 1);
}

TEST(Imap, MayBeDroppedByOneOfItsWorkers) {
  Pool pool(2);
  std::optional<Results<int>> results;
  const auto drop_at_two = [&](int n) { return n == 2 ? results.reset() : void(), n; };
  results.emplace(pool.imap(drop_at_two, std::vector{1, 2, 3}));
  EXPECT_EQ(results->next(), 1);
  EXPECT_TRUE(pool.join());
  EXPECT_FALSE(results.has_value());
}

TEST(Imap, CopiesTheItemsOfAListThatIsNobodys) {
  Group group;
  auto results = group.imap([](const std::string& word) { return yield(), word + "!"; },
                            std::initializer_list<std::string>{
                                "a word that is long enough to be on the heap", "another one"});
  EXPECT_EQ(results.next(), "a word that is long enough to be on the heap!");
  EXPECT_EQ(results.next(), "another one!");
}

// Before it has begun: all that lives here is killed at once.
TEST(Imap, IsAtItsEndIfItsFeederWasKilled) {
  testkit::simulate({.hubs = 2}, [] {
    for (const bool has_begun : {false, true}) {
      Pool pool(1);
      auto results = std::make_shared<std::optional<Results<int>>>();
      *results = pool.imap([](int n) { return sleep(1h), n; }, std::vector{1, 2});
      if (has_begun) sleep(1ms);
      const auto reader = spawn_monitor(SpawnOptions{.place = Placement::next_hub}, [&] {
        EXPECT_THROW((*results)->next(), green::GreenletExit);
        if (has_begun) {
          EXPECT_THROW((*results)->next(), green::GreenletExit);
        }
        EXPECT_EQ((*results)->next(), std::nullopt);
      });
      Hub::current().for_each_task([](detail::Task& task) {
        if (&task != Hub::current().current_task()) task.ops->stop(task);
      });
      receive([&](const Down& down) { EXPECT_EQ(down.ref, reader.ref); });
    }
  });
}

}  // namespace
}  // namespace greenroom
