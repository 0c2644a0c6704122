// Hubs and whole runs end while other hubs are in the middle of something with them. Threads yield
// at random where hubs see each other.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/mailbox/queue.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;

constexpr int one_in = 8;

struct Desk {
  struct Get {};
  int handle(Get) { return 7; }
};

TEST(HubEnd, MeetsThoseWhoJoinAndKillItsGreenlets) {
  const testkit::YieldAtCrossings often(one_in);
  for (int round = 0; round < testkit::scale(100); ++round) {
    std::atomic<int> ready = 0;
    green::Greenlet<> sleeper;
    green::Greenlet<int> worker;
    std::thread owner([&] {
      sleeper = green::spawn([] { sleep(1h); });
      worker = green::spawn([] {
        for (int i = 0; i < 10; ++i) yield();
        return 5;
      });
      ready = 1;
      for (int i = 0; i < 5; ++i) yield();
    });
    std::thread other([&] {
      while (ready != 1) std::this_thread::yield();
      std::vector<green::Greenlet<>> joiners;
      joiners.push_back(green::spawn([&] { sleeper.join(1us); }));
      joiners.push_back(green::spawn([&] { worker.join(); }));
      joiners.push_back(green::spawn([&] { sleeper.kill(); }));
      joiners.push_back(green::spawn([&] { green::joinall({sleeper, worker}); }));
      worker.on_exit([](const green::Greenlet<>&) {});
      green::joinall(joiners);
    });
    other.join();
    owner.join();
    EXPECT_TRUE(sleeper.ready());
    EXPECT_TRUE(worker.ready());
  }
}

TEST(HubEnd, MeetsThoseWhoWakeItsGreenletsAndPostToIt) {
  const testkit::YieldAtCrossings often(one_in);
  for (int round = 0; round < testkit::scale(100); ++round) {
    green::Event event;
    green::Queue<int> queue;
    green::Semaphore semaphore(0);
    std::atomic<int> waiting = 0;
    std::thread owner([&] {
      const auto first = green::spawn([&] { event.wait(); });
      const auto second = green::spawn([&] { queue.get(); });
      const auto third = green::spawn([&] { semaphore.acquire(); });
      yield();
      waiting = 1;
      first.join(10us);  // the hub ends with the others, whether they were woken or not
    });
    std::thread other([&] {
      while (waiting != 1) std::this_thread::yield();
      semaphore.release();
      queue.put(1);
      event.set();
    });
    owner.join();
    other.join();
    EXPECT_LE(semaphore.counter(), 1);
  }
}

TEST(RunEnd, MeetsActorsThatAreInTheMiddleOfEverything) {
  set_crash_logger([](const CrashReport&) {});
  const testkit::YieldAtCrossings often(one_in);
  for (int round = 0; round < testkit::scale(60); ++round) {
    const int code = run(RunOptions{.hubs = 3}, [] {
      const auto desk = start<Desk>(SpawnOptions{.name = "desk", .place = Placement::next_hub});
      auto semaphore = std::make_shared<green::Semaphore>(1);
      for (int i = 0; i < 6; ++i) {
        spawn(SpawnOptions{.place = Placement::next_hub}, [i, desk, semaphore] {
          for (;;) {
            try_call(desk, Desk::Get{}, 1ms);
            try_call(ServerName<Desk>("desk").waiting(), Desk::Get{}, 1ms);
            const Monitored child =
                spawn_monitor(SpawnOptions{.place = Placement::next_hub}, [] {});
            demonitor(child.ref);
            if (semaphore->acquire(1ms)) semaphore->release();
            const auto name = "name " + std::to_string(i);
            register_name(name);
            unregister_name(name);
            if (i == 0) exit(spawn_link([] { receive([](int) {}); }), Reason::shutdown);
            yield();
          }
        });
      }
      sleep(2ms);  // that they are at it; what they do then is the threads' matter
      return 3;
    });
    EXPECT_EQ(code, 3);
  }
  set_crash_logger({});
}

TEST(RunEnd, MeetsThreadsThatSendToIt) {
  const testkit::YieldAtCrossings often(one_in);
  for (int round = 0; round < testkit::scale(60); ++round) {
    std::atomic<bool> is_over = false;
    std::thread sender;
    const int code = run(RunOptions{.hubs = 2}, [&] {
      const Pid here = self();
      const auto desk = start<Desk>(SpawnOptions{.place = Placement::next_hub});
      const Hold until_it_has_sent = Hub::current().hold();
      sender = std::thread([&, here, desk] {
        while (!is_over) {
          send(here, 1);
          cast(desk, Desk::Get{});
          try_call(desk, Desk::Get{}, 1ms);
        }
      });
      receive([](int) {});
    });
    is_over = true;
    sender.join();
    EXPECT_EQ(code, 0);
  }
}

}  // namespace
}  // namespace greenroom
