#include "greenroom/io/poll/libev_poller.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "greenroom/tests/io/hang_guard.h"
#include "greenroom/tests/io/loopback.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using loopback::connected_to;

[[maybe_unused]] const bool is_guarded = hang_guard::fail_tests_that_hang();

TEST(LibevPoller, HubIsWokenByAnotherThreadWhileItWaitsForDescriptors) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto reader = green::spawn([&] { return loopback::read_some_text(server); });
  for (int i = 0; i < 1000; ++i) {
    green::Event posted;
    Hub& hub = green::get_hub();
    std::thread other([&] { hub.post([&] { posted.set(); }); });
    posted.wait();
    other.join();
  }
  client.write_all("x");
  reader.get();
}

TEST(LibevPoller, InstalledWhileOthersWakeTheHubLosesNoWake) {
  for (int i = 0; i < 200; ++i) {
    std::thread([] {
      Hub& hub = green::get_hub();
      const Hold hold = hub.hold();
      green::Event posted;
      int count = 0;
      std::thread other([&] {
        for (int n = 0; n < 20; ++n)
          hub.post([&] {
            if (++count == 20) posted.set();
          });
      });
      tcp::Stream client;
      tcp::Stream server = connected_to(client);
      posted.wait();
      other.join();
      client.write_all("x");
      EXPECT_EQ(loopback::read_some_text(server), "x");
    }).join();
  }
}

TEST(LibevPoller, HubsThatEndLeaveAtMostTheirPortsWakeDescriptor) {
  auto use_a_hub = [] {
    std::thread([] {
      tcp::Stream client;
      tcp::Stream server = connected_to(client);
      client.write_all("x");
      EXPECT_EQ(loopback::read_some_text(server), "x");
    }).join();
  };
  use_a_hub();
  const int before = loopback::open_descriptors();
  for (int i = 0; i < 50; ++i) use_a_hub();
  EXPECT_EQ(loopback::open_descriptors(), before);
}

TEST(LibevPoller, TimersAreNeverEarlyAndDoNotSpin) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto reader = green::spawn([&] { return loopback::read_some_text(server); });
  loopback::settle();
  for (const auto duration : {10us, 500us, 1000us, 1500us, 10'300us}) {
    const std::uint64_t before = green::get_hub().statistics().housekeepings;
    const auto end = clock::now() + duration;
    sleep(duration);
    EXPECT_GE(clock::now(), end);
    EXPECT_LE(green::get_hub().statistics().housekeepings - before, 10U) << duration.count();
  }
  reader.kill();
}

TEST(LibevPoller, HasTheKernelTellItWhenTheWallClockIsSet) {
  loopback::connected();
  detail::poller_of(green::get_hub());
  int timer_descriptors = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    timer_descriptors +=
        std::filesystem::read_symlink(entry.path(), gone) == "anon_inode:[timerfd]" ? 1 : 0;
  }
  EXPECT_EQ(timer_descriptors, 1);
}

TEST(LibevPoller, BusyHubHearsItsDescriptors) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto reader = green::spawn([&] { return loopback::read_some_text(server); });
  bool is_over = false;
  auto busy = green::spawn([&] {
    while (!is_over) yield();
  });
  loopback::settle();
  client.write_all("heard");
  EXPECT_EQ(reader.get(), "heard");
  is_over = true;
  busy.get();
}

TEST(LibevPoller, ReadinessThatNobodyWaitsForIsToldOnce) {
  tcp::Stream client;
  tcp::Stream server = connected_to(client);
  auto reader = green::spawn([&] { return loopback::read_some_text(server); });
  client.write_all("1");
  reader.get();
  client.write_all("2");  // armed still
  sleep(2ms);
  const std::uint64_t before = green::get_hub().statistics().housekeepings;
  sleep(50ms);
  EXPECT_LT(green::get_hub().statistics().housekeepings - before, 10U);
  EXPECT_EQ(loopback::read_some_text(server), "2");
}

}  // namespace
}  // namespace greenroom
