// Those who use a pool die at any point: what they have started is over with them, and no room is
// lost.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/tests/sweep/sweep.h"

namespace greenroom::sweep {
namespace {

using namespace std::chrono_literals;
using green::Pool;

struct Shop {
  Pool pool{2};
  int at_work = 0;
  std::vector<int> done = {};
};

// A worker that refers to its caller's frame, of which `is_there` is a part.
struct Frame {
  ~Frame() { is_there = false; }
  bool is_there = true;
};

auto worker(Shop& shop, Frame& frame) {
  return [&shop, &frame](int item) {
    struct AtWork {
      explicit AtWork(Shop& in) : shop(in) { ++shop.at_work; }
      ~AtWork() { --shop.at_work; }
      Shop& shop;
    } const at_work(shop);
    EXPECT_TRUE(frame.is_there);
    EXPECT_LE(shop.at_work, 2);
    if (item % 2 == 0) sleep(1ms);
    yield();
    EXPECT_TRUE(frame.is_there);
    shop.done.push_back(item);
    return item;
  };
}

// Whatever has happened, the pool is empty a little later, and has all its room.
void expect_in_order(Shop& shop) {
  EXPECT_TRUE(shop.pool.join(1s));
  EXPECT_EQ(shop.at_work, 0);
  const auto start = clock::now();
  for (int i = 0; i < 2; ++i) shop.pool.spawn([] { sleep(1ms); });
  EXPECT_EQ(clock::now(), start) << "there was no room for two";
  EXPECT_TRUE(shop.pool.full());
  EXPECT_TRUE(shop.pool.join(1s));
  EXPECT_EQ(shop.pool.free_count(), 2U);
}

template <class Use>
void sweep_users(Use use) {
  sweep(3, {1, 2}, [=] {
    auto shop = std::make_shared<Shop>();
    std::vector<Monitored> users;
    users.reserve(2);
    for (int who = 0; who < 2; ++who)
      users.push_back(spawn_monitor(anywhere(), [=] { use(*shop, who * 10); }));
    join(users);
    expect_in_order(*shop);
  });
}

TEST(GroupSweep, AMapEndsWhatItHasStarted) {
  sweep_users([](Shop& shop, int from) {
    Frame frame;
    const std::vector items{from, from + 1, from + 2};
    EXPECT_EQ(shop.pool.map(worker(shop, frame), items), items);
  });
}

TEST(GroupSweep, AnImapEndsWhatItHasStarted) {
  sweep_users([](Shop& shop, int from) {
    Frame frame;
    const std::vector items{from, from + 1, from + 2};
    std::vector<int> read;
    for (const int item : shop.pool.imap(worker(shop, frame), items, {.max_size = 1}))
      read.push_back(item);
    EXPECT_LE(read.size(), 3U);
  });
}

TEST(GroupSweep, AnUnorderedImapThatIsReadInPartEndsTheRest) {
  sweep_users([](Shop& shop, int from) {
    Frame frame;
    const std::vector items{from, from + 1, from + 2};
    auto results = shop.pool.imap_unordered(worker(shop, frame), items);
    EXPECT_TRUE(results.next(1s));
  });
}

TEST(GroupSweep, AnApplyEndsWhatItHasStarted) {
  sweep_users([](Shop& shop, int from) {
    Frame frame;
    EXPECT_EQ(shop.pool.apply(worker(shop, frame), from), from);
    EXPECT_EQ(shop.pool.apply(worker(shop, frame), from + 1), from + 1);
  });
}

TEST(GroupSweep, ASpawnThatWaitsForRoomTakesItOrLeavesIt) {
  sweep(3, {1, 2}, [] {
    auto shop = std::make_shared<Shop>();
    auto frame = std::make_shared<Frame>();
    std::vector<Monitored> users;
    users.reserve(3);
    for (int who = 0; who < 3; ++who) {
      users.push_back(spawn_monitor(anywhere(), [=] {
        for (int i = 0; i < 2; ++i) shop->pool.spawn(worker(*shop, *frame), who * 10 + i);
      }));
    }
    join(users);
    expect_in_order(*shop);
  });
}

TEST(GroupSweep, JoinAndKillLeaveNobodyBehind) {
  sweep(3, {1, 2}, [] {
    auto shop = std::make_shared<Shop>();
    auto frame = std::make_shared<Frame>();
    std::vector<Monitored> users;
    users.push_back(spawn_monitor(anywhere(), [=] {
      for (int i = 0; i < 3; ++i) shop->pool.spawn(worker(*shop, *frame), i);
    }));
    users.push_back(spawn_monitor(anywhere(), [=] { shop->pool.join(1s); }));
    users.push_back(spawn_monitor(anywhere(), [=] { yield(), shop->pool.kill(); }));
    join(users);
    expect_in_order(*shop);
  });
}

}  // namespace
}  // namespace greenroom::sweep
