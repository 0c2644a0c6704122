// Slices that end in time, on the real clock: messages of a millisecond each, of which all would be
// handled in one slice if slices were only counted.
#include <gtest/gtest.h>

#include <ctime>
#include <mutex>
#include <set>
#include <string>

#include "greenroom/actors/actors.h"
#include "greenroom/mailbox/queue.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/sync/event.h"
#include "greenroom/scheduler/sync/lock.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;

// What is done for one message, until somebody else has had a turn: then the rest is for nothing.
struct Batch {
  int messages = 1000;  // less than a slice's budget of calls
  int handled = 0;
  int handled_before_other = -1;
  std::set<std::uint64_t> slices = {};  // that it took until then

  bool has_other_run() const { return handled_before_other >= 0; }
  void note_other() {
    if (!has_other_run()) handled_before_other = handled;
  }
  void handle_one() {
    ++handled;
    if (has_other_run()) return;
    slices.insert(Hub::current().statistics().slices);
    burn();
  }
  // A millisecond of the processor.
  static void burn() {
    const auto now = [] {
      timespec time{};
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
      return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
    };
    const auto end = now() + 1ms;
    while (now() < end) {
    }
  }
};

struct Worker {
  Batch* batch;
  explicit Worker(Batch* its) : batch(its) {}
  void handle(int) { batch->handle_one(); }
};

// Each starts a task that is ready with all of the batch.
void work_in_a_server(Batch& batch) {
  const auto server = start<Worker>(&batch);
  for (int i = 0; i < batch.messages; ++i) cast(server, i);
}
void work_in_a_receive_loop(Batch& batch) {
  const Pid receiver = spawn([&batch] {
    for (int i = 0; i < batch.messages; ++i) receive([&](int) { batch.handle_one(); });
  });
  for (int i = 0; i < batch.messages; ++i) send(receiver, i);
}
void work_from_a_queue(Batch& batch) {
  green::spawn([&batch] {
    green::Queue<int> queue;
    for (int i = 0; i < batch.messages; ++i) queue.put_nowait(i);
    for (int i = 0; i < batch.messages; ++i) {
      queue.get();
      batch.handle_one();
    }
  });
}
void work_under_a_lock(Batch& batch) {
  green::spawn([&batch] {
    green::Lock lock;
    for (int i = 0; i < batch.messages; ++i) {
      const std::lock_guard guard(lock);
      batch.handle_one();
    }
  });
}

struct Way {
  const char* name;
  void (*work)(Batch&);
};
std::ostream& operator<<(std::ostream& out, const Way& way) { return out << way.name; }

class SliceTime : public testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(Ways, SliceTime,
                         testing::Values(Way{"server", &work_in_a_server},
                                         Way{"receive", &work_in_a_receive_loop},
                                         Way{"queue", &work_from_a_queue},
                                         Way{"lock", &work_under_a_lock}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(SliceTime, EndsWhileAnotherIsReady) {
  testkit::run_actors([] {
    Batch batch;
    GetParam().work(batch);
    green::spawn([&] { batch.note_other(); });
    while (batch.handled < batch.messages) sleep(1ms);
    EXPECT_GT(batch.handled_before_other, 0);
    EXPECT_LT(batch.handled_before_other, batch.messages);
    EXPECT_EQ(batch.slices.size(), 1U);
  });
}

// Who becomes ready only in the hub's housekeeping comes before the one that gives way.
TEST_P(SliceTime, EndsWhileASleeperIsDue) {
  testkit::run_actors([] {
    Batch batch;
    green::spawn([&] {
      sleep(1ms);
      batch.note_other();
    });
    yield();
    GetParam().work(batch);
    while (batch.handled < batch.messages) sleep(1ms);
    EXPECT_LT(batch.handled_before_other, batch.messages);
    EXPECT_LE(batch.slices.size(), 1U);
  });
}

TEST_P(SliceTime, IsNoMatterInASimulation) {
  testkit::simulate({}, [] {
    Batch batch{.messages = 40};
    GetParam().work(batch);
    const auto other = green::spawn([&] {
      if (batch.handled > 0) {
        EXPECT_EQ(batch.handled, batch.messages);
      }
      batch.note_other();
    });
    while (batch.handled < batch.messages) sleep(1ms);
    other.get();
  });
}

// It ends before the attempt: a getter that is killed there has not taken the item.
TEST(SliceTimeOfAQueue, EndsBeforeAnItemIsTaken) {
  testkit::run_actors([] {
    Batch batch;
    green::Queue<int> queue;
    for (int i = 0; i < batch.messages; ++i) queue.put_nowait(i);
    auto getter = green::spawn([&] {
      for (;;) {
        EXPECT_EQ(queue.get(), batch.handled);
        batch.handle_one();
        if (batch.has_other_run()) Batch::burn();  // a kill comes in its turn, behind this slice
      }
    });
    const auto killer = green::spawn([&] {
      batch.note_other();
      getter.kill();
    });
    killer.get();
    EXPECT_LT(batch.handled, batch.messages);
    EXPECT_EQ(static_cast<int>(queue.size()), batch.messages - batch.handled);
  });
}

// A server that is told to end while it gives way is ended, with its mail.
TEST(SliceTimeOfAServer, MayBeItsLast) {
  testkit::run_actors([] {
    Batch batch;
    const auto server = start<Worker>(&batch);
    for (int i = 0; i < batch.messages; ++i) cast(server, i);
    const auto ref = monitor(server.pid());
    green::spawn([&] {
      batch.note_other();
      exit(server.pid(), Reason::kill);
    });
    receive(when([&](const Down& down) { return down.ref == ref; },
                 [](const Down& down) { EXPECT_EQ(down.reason, Reason::killed); }));
    EXPECT_LT(batch.handled, batch.messages);
  });
}

}  // namespace
}  // namespace greenroom
