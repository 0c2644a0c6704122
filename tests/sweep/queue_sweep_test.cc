// A putter or a getter dies at any point: what was put is got once, or still there.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/mailbox/queue.h"
#include "greenroom/tests/sweep/sweep.h"

namespace greenroom::sweep {
namespace {

using namespace std::chrono_literals;

struct Books {
  std::vector<int> put;  // returned from put()
  std::vector<int> tried;
  std::vector<int> got;
};

// Nothing is there twice, nothing that was put is missing, nothing comes from nowhere.
void balance(const Books& books, std::vector<int> left) {
  std::vector<int> seen = books.got;
  seen.insert(seen.end(), left.begin(), left.end());
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end()) << "an item was got twice";
  for (const int item : books.put)
    EXPECT_TRUE(std::binary_search(seen.begin(), seen.end(), item)) << item << " is lost";
  for (const int item : seen)
    EXPECT_NE(std::find(books.tried.begin(), books.tried.end(), item), books.tried.end());
}

template <class Queue>
void trade(const std::shared_ptr<Queue>& queue) {
  auto books = std::make_shared<Books>();
  std::vector<Monitored> actors;
  for (int who = 0; who < 2; ++who) {
    actors.push_back(spawn_monitor(anywhere(), [=] {
      for (int i = 0; i < 3; ++i) {
        const int item = who * 10 + i;
        books->tried.push_back(item);
        queue->put(item, 50ms);
        books->put.push_back(item);
      }
    }));
    actors.push_back(spawn_monitor(anywhere(), [=] {
      for (int i = 0; i < 3; ++i) {
        books->got.push_back(queue->get(50ms));
        yield();
      }
    }));
  }
  join(actors);
  std::vector<int> left;
  try {
    for (;;) left.push_back(queue->get_nowait());
  } catch (const green::Empty&) {
  }
  balance(*books, left);
  EXPECT_EQ(queue->size(), 0U);
  // Somebody new still finds it working.
  const auto getter = spawn_monitor(anywhere(), [=] { EXPECT_EQ(queue->get(1s), 99); });
  try {
    queue->put(99, 1s);
  } catch (const green::Full&) {  // the getter was killed
    EXPECT_LE(queue->size(), 1U);
  }
  join({getter});
}

TEST(QueueSweep, AQueueLosesNothing) {
  sweep(3, {1, 2}, [] { trade(std::make_shared<green::Queue<int>>()); });
}

TEST(QueueSweep, ABoundedQueueLosesNothing) {
  sweep(3, {1, 2},
        [] { trade(std::make_shared<green::Queue<int>>(green::QueueOptions{.max_size = 1})); });
}

TEST(QueueSweep, APriorityQueueLosesNothing) {
  sweep(3, {1, 2}, [] {
    trade(std::make_shared<green::PriorityQueue<int>>(green::QueueOptions{.max_size = 2}));
  });
}

TEST(QueueSweep, AChannelLosesNothing) {
  sweep(3, {1, 2}, [] { trade(std::make_shared<green::Channel<int>>()); });
}

// In a frame that waits; also left by a kill.
struct Counted {
  explicit Counted(int& waiting) : count(waiting) { ++count; }
  ~Counted() { --count; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  int& count;
};

struct Crowd {
  Books books;
  int putting = 0;
  int getting = 0;
};

// Two that put, two that get, and one that comes late and waits for nothing. Nobody gives up, so
// that once all is quiet those who wait do so rightly.
template <class Queue>
void crowd(const std::shared_ptr<Queue>& queue, bool is_channel) {
  auto all = std::make_shared<Crowd>();
  std::vector<Monitored> actors;
  const auto put = [=](int item, auto how) {
    all->books.tried.push_back(item);
    how(item);
    all->books.put.push_back(item);
  };
  for (int who = 0; who < 2; ++who) {
    actors.push_back(spawn_monitor(anywhere(), [=] {
      for (int i = 0; i < 3; ++i) {
        put(who * 10 + i, [&](int item) {
          const Counted waits(all->putting);
          queue->put(item);
        });
      }
    }));
    actors.push_back(spawn_monitor(anywhere(), [=] {
      for (int i = 0; i < 3; ++i) {
        const Counted waits(all->getting);
        all->books.got.push_back(queue->get());
      }
    }));
  }
  actors.push_back(spawn_monitor(anywhere(), [=] {
    for (int i = 0; i < 3; ++i) {
      yield();
      try {
        all->books.got.push_back(queue->get_nowait());
        yield();
        put(20 + i, [&](int item) { queue->put_nowait(item); });
      } catch (const green::Empty&) {
      } catch (const green::Full&) {
      }
    }
  }));
  sleep(1s);
  if (is_channel) {
    EXPECT_FALSE(all->getting > 0 && all->putting > 0) << "they wait for each other";
  } else {
    EXPECT_FALSE(all->getting > 0 && !queue->empty()) << "a getter waits, and there are items";
    EXPECT_FALSE(all->putting > 0 && !queue->full()) << "a putter waits, and there is room";
  }
  for (const Monitored& actor : actors) exit(actor.pid, Reason::kill);
  join(actors);
  std::vector<int> left;
  try {
    for (;;) left.push_back(queue->get_nowait());
  } catch (const green::Empty&) {
  }
  balance(all->books, left);
}

TEST(QueueSweep, NobodyWaitsAtABoundedQueueForWhatIsThere) {
  sweep(3, {1, 2}, [] {
    crowd(std::make_shared<green::Queue<int>>(green::QueueOptions{.max_size = 1}), false);
  });
}

TEST(QueueSweep, NobodyWaitsAtAnUnboundedQueueForWhatIsThere) {
  sweep(3, {1, 2}, [] { crowd(std::make_shared<green::LifoQueue<int>>(), false); });
}

TEST(QueueSweep, NobodyWaitsAtAChannelForWhatIsThere) {
  sweep(3, {1, 2}, [] { crowd(std::make_shared<green::Channel<int>>(), true); });
}

// Who looks takes nothing, and what it was told of goes on to a getter.
TEST(QueueSweep, WhoPeeksLosesNothing) {
  sweep(3, {1, 2}, [] {
    auto queue = std::make_shared<green::Queue<int>>();
    auto channel = std::make_shared<green::Channel<int>>();
    auto getting = std::make_shared<int>(0);
    std::vector<Monitored> actors;
    for (int i = 0; i < 2; ++i) {
      actors.push_back(spawn_monitor(anywhere(), [=] { queue->peek(); }));
      actors.push_back(spawn_monitor(anywhere(), [=] { channel->peek(); }));
    }
    actors.push_back(spawn_monitor(anywhere(), [=] {
      const Counted waits(*getting);
      queue->get();
    }));
    actors.push_back(spawn_monitor(anywhere(), [=] { queue->put(1); }));
    actors.push_back(spawn_monitor(anywhere(), [=] { channel->put(2); }));
    sleep(1s);
    EXPECT_FALSE(*getting > 0 && !queue->empty());
    try {
      EXPECT_EQ(channel->peek_nowait(), 2);
      EXPECT_EQ(channel->get_nowait(), 2);
    } catch (const green::Empty&) {  // its putter was killed
    }
    for (const Monitored& actor : actors) exit(actor.pid, Reason::kill);
    join(actors);
  });
}

TEST(QueueSweep, JoinEndsOnceAllIsDone) {
  sweep(4, {1, 2}, [] {
    auto queue = std::make_shared<green::Queue<int>>();
    for (int i = 0; i < 4; ++i) queue->put(i);
    std::vector<Monitored> workers;
    workers.reserve(static_cast<std::size_t>(2));
    for (int i = 0; i < 2; ++i) {
      workers.push_back(spawn_monitor(anywhere(), [=] {
        for (;;) {
          queue->get(5ms);
          struct Done {
            green::Queue<int>& queue;
            ~Done() { queue.task_done(); }
          } done{*queue};
          yield();
        }
      }));
    }
    EXPECT_TRUE(queue->join(1s));
    join(workers);
    EXPECT_EQ(queue->unfinished(), 0U);
  });
}

}  // namespace
}  // namespace greenroom::sweep
