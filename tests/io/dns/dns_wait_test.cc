// Lookups that take their time: what else runs, and how they are left.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "greenroom/io/dns.h"
#include "greenroom/io/resolver/ares_channel.h"
#include "greenroom/scheduler/system/sanitizers.h"
#include "greenroom/tests/io/hang_guard.h"
#include "greenroom/tests/io/loopback.h"
#include "greenroom/tests/io/resolver/dns_server.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using dns_testing::DnsServer;
using loopback::error_of;
using Hosts = std::vector<std::string>;

[[maybe_unused]] const bool is_guarded = hang_guard::fail_tests_that_hang();

const Hosts found{"127.0.0.1"};

class DnsWait : public testing::Test {
 protected:
  // Nothing here may end because the resolver gives up.
  DnsWait() { dns::configure({.servers = {server.endpoint()}, .timeout = 1h}); }
  ~DnsWait() override { dns::configure({}); }

  DnsServer server;
};

void expect_loop_exit() {
  green::Event never;
  EXPECT_THROW(never.wait(), green::LoopExit);
}

TEST_F(DnsWait, OtherGreenletsRunWhileAnAnswerIsDelayed) {
  auto asking = green::spawn([] { return dns::lookup("held.test"); });
  server.wait_for_held(2);
  for (int i = 0; i < 300; ++i) sleep(1ms);
  EXPECT_FALSE(asking.ready());
  server.release();
  EXPECT_EQ(asking.get(), found);
}

TEST_F(DnsWait, DeadlineEndsALookup) {
  EXPECT_EQ(error_of([] { dns::lookup("silent.test", 5ms); }), std::errc::timed_out);
  expect_loop_exit();
}

TEST_F(DnsWait, LookupThatMayNotWaitTimesOut) {
  EXPECT_EQ(error_of([] { dns::lookup("silent.test", 0ms); }), std::errc::timed_out);
}

TEST_F(DnsWait, WithoutDescriptorsALookupSaysSo) {
#if GREENROOM_ASAN
  GTEST_SKIP() << "the check of virtual calls opens a pipe, and fails without descriptors";
#endif
  dns::lookup("v4.test");
  std::vector<std::error_code> errors;
  const auto look_up = [&] { errors.push_back(error_of([] { dns::lookup("v4.test"); })); };
  {
    const loopback::DescriptorLimit limit(0);
    look_up();
    std::thread(look_up).join();  // on a hub without a poller yet
  }
  for (const std::error_code& error : errors) EXPECT_EQ(error, std::errc::too_many_files_open);
  EXPECT_EQ(errors.size(), 2U);
  EXPECT_EQ(dns::lookup("v4.test"), found);
}

// It would know no name servers, and be used by all later lookups of its hub.
TEST_F(DnsWait, ChannelIsNotMadeWithoutDescriptors) {
#if GREENROOM_ASAN
  GTEST_SKIP() << "the check of virtual calls opens a pipe, and fails without descriptors";
#endif
  Hub& hub = Hub::current();
  detail::poller_of(hub);
  std::error_code made_without;
  {
    const loopback::DescriptorLimit limit(0);
    try {
      const detail::AresChannel channel(hub, detail::dns_options());
    } catch (const std::system_error& error) {
      made_without = error.code();
    }
  }
  EXPECT_EQ(made_without, std::errc::too_many_files_open);
  EXPECT_NO_THROW(detail::AresChannel(hub, detail::dns_options()));
}

TEST_F(DnsWait, DeadlineOfConnectIsForTheLookupAsWell) {
  EXPECT_EQ(error_of([] { tcp::connect({"silent.test", 80}, 5ms); }), std::errc::timed_out);
}

TEST_F(DnsWait, TimeoutEndsALookup) {
  EXPECT_FALSE(try_for(5ms, [] { dns::lookup("silent.test"); }));
  expect_loop_exit();
}

TEST_F(DnsWait, KilledLookupIsLeftAtOnceWithNothingOpen) {
  dns::lookup("v4.test");
  const int before = loopback::open_descriptors();
  auto asking = green::spawn([] { dns::lookup("silent.test"); });
  loopback::settle();
  EXPECT_GT(loopback::open_descriptors(), before);
  asking.kill();
  EXPECT_TRUE(asking.ready());
  EXPECT_EQ(loopback::open_descriptors(), before);
  expect_loop_exit();
}

TEST_F(DnsWait, ConnectIsKilledWhileItLooksItsNameUp) {
  auto connecting = green::spawn([] { tcp::connect({"silent.test", 80}); });
  loopback::settle();
  EXPECT_FALSE(connecting.ready());
  connecting.kill();
  EXPECT_TRUE(connecting.ready());
  expect_loop_exit();
}

TEST_F(DnsWait, AnswerThatIsThereBeatsADeadlineThatHasPassed) {
  const clock::time_point deadline = clock::now() + 20ms;
  auto asking = green::spawn([&] { return dns::lookup("held.test", deadline); });
  server.wait_for_held(2);
  server.release();
  loopback::compute_until(deadline + 1ms);
  EXPECT_EQ(asking.get(), found);
}

TEST_F(DnsWait, AnswerToALookupThatWasLeftIsDropped) {
  auto left = green::spawn([] { dns::lookup("held-1.test"); });
  auto asking = green::spawn([] { return dns::lookup("held-2.test"); });
  server.wait_for_held(4);
  left.kill();
  server.release();
  EXPECT_EQ(asking.get(), found);
  expect_loop_exit();
}

TEST_F(DnsWait, KillInTheSameRoundAsTheAnswerWins) {
  auto asking = green::spawn([] { return dns::lookup("held.test"); });
  server.wait_for_held(2);
  server.release();
  asking.kill();
  EXPECT_THROW(asking.get(), green::GreenletExit);
  expect_loop_exit();
}

TEST_F(DnsWait, NothingIsWatchedOrArmedAfterTheLastAnswer) {
  dns::lookup("v4.test");
  const int before = loopback::open_descriptors();
  dns::lookup("long.test");
  while (loopback::open_descriptors() != before) yield();  // the server's end of the connection
  EXPECT_TRUE(Hub::current().timers().empty());
  expect_loop_exit();
}

TEST_F(DnsWait, ThousandLookupsAtATimeAllFindTheirs) {
  std::vector<green::Greenlet<Hosts>> asking;
  asking.reserve(1000);
  for (int i = 0; i < 1000; ++i) {
    asking.push_back(
        green::spawn([i] { return dns::lookup("v4-" + std::to_string(i) + ".test"); }));
  }
  for (auto& one : asking) EXPECT_EQ(one.get(), found);
  EXPECT_GE(server.questions(), 2000);
}

TEST_F(DnsWait, ThousandLookupsThatAreKilledLeaveNothing) {
  dns::lookup("v4.test");
  const int before = loopback::open_descriptors();
  std::vector<green::Greenlet<Hosts>> asking;
  asking.reserve(1000);
  for (int i = 0; i < 1000; ++i) {
    asking.push_back(
        green::spawn([i] { return dns::lookup("silent-" + std::to_string(i) + ".test"); }));
  }
  loopback::settle();
  for (auto& one : asking) one.kill();
  EXPECT_EQ(loopback::open_descriptors(), before);
  expect_loop_exit();
}

TEST_F(DnsWait, HubsLookUpForThemselves) {
  std::vector<std::thread> hubs;
  hubs.reserve(2);
  for (int hub = 0; hub < 2; ++hub) {
    hubs.emplace_back([hub] {
      for (int i = 0; i < 50; ++i) {
        auto other = green::spawn([] { return dns::lookup("v4.test"); });
        EXPECT_EQ(dns::lookup("v4-" + std::to_string(hub) + ".test"), found);
        EXPECT_EQ(other.get(), found);
      }
    });
  }
  for (std::thread& hub : hubs) hub.join();
}

TEST_F(DnsWait, HubMayEndWithLookupsUnderWay) {
  dns::lookup("v4.test");
  // The first hub that polls leaves its wake descriptor for the next one on its port.
  std::thread([] { dns::lookup("v4.test"); }).join();
  const int before = loopback::open_descriptors();
  std::thread([this] {
    for (int i = 0; i < 100; ++i)
      green::spawn([i] { dns::lookup("held-" + std::to_string(i) + ".test"); });
    server.wait_for_held(2);
  }).join();
  EXPECT_EQ(loopback::open_descriptors(), before);
  server.release();
}

// Turns.

TEST_F(DnsWait, NoMoreNamesAreAskedForThanAHubMay) {
  dns::configure({.servers = {server.endpoint()}, .timeout = 1h, .concurrency = 1});
  auto first = green::spawn([] { return dns::lookup("held.test"); });
  auto second = green::spawn([] { return dns::lookup("v4.test"); });
  server.wait_for_held(2);
  loopback::settle();
  EXPECT_EQ(server.questions(), 2);
  EXPECT_EQ(error_of([] { dns::lookup("v4.test", 5ms); }), std::errc::timed_out);
  auto killed = green::spawn([] { return dns::lookup("v4.test"); });
  loopback::settle();
  killed.kill();
  server.release();
  EXPECT_EQ(first.get(), found);
  EXPECT_EQ(second.get(), found);
  EXPECT_EQ(server.questions(), 4);
}

TEST_F(DnsWait, LookupThatIsLeftGivesItsTurnToTheNext) {
  dns::configure({.servers = {server.endpoint()}, .timeout = 1h, .concurrency = 1});
  auto first = green::spawn([] { return dns::lookup("silent.test"); });
  auto second = green::spawn([] { return dns::lookup("v4.test"); });
  loopback::settle();
  first.kill();
  EXPECT_EQ(second.get(), found);
}

}  // namespace
}  // namespace greenroom
