#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/io/dns.h"
#include "greenroom/io/resolver/resolver_settings.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/tests/io/hang_guard.h"
#include "greenroom/tests/io/resolver/dns_server.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using detail::ResolverKind;
using detail::to_resolver_kind;
using dns_testing::DnsServer;
using Hosts = std::vector<std::string>;

[[maybe_unused]] const bool is_guarded = hang_guard::fail_tests_that_hang();

TEST(DnsSettings, ResolverIsAresUnlessTheEnvironmentSaysThread) {
  EXPECT_EQ(to_resolver_kind(nullptr), ResolverKind::ares);
  EXPECT_EQ(to_resolver_kind(""), ResolverKind::ares);
  EXPECT_EQ(to_resolver_kind("ares"), ResolverKind::ares);
  EXPECT_EQ(to_resolver_kind("thread"), ResolverKind::thread);
}

TEST(DnsSettings, AnyOtherResolverIsAnErrorThatSaysWhatToDo) {
  try {
    to_resolver_kind("threads");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_EQ(std::string(error.what()),
              "greenroom: GREENROOM_RESOLVER is 'threads'; set it to ares or thread, or unset it");
  }
}

TEST(DnsSettings, OptionsThatCannotBeAreRefused) {
  const std::vector<dns::Options> impossible = {
      {.servers = {{"localhost", 53}}},
      {.servers = {{"", 53}}},
      {.servers = {{"fe80::1%lo", 53}}},
      {.timeout = -1ms},
      {.timeout = 2h},
      {.attempts = -1},
      {.concurrency = 0},
      {.concurrency = 10'001},
  };
  for (const dns::Options& options : impossible)
    EXPECT_THROW(dns::configure(options), std::invalid_argument);
}

TEST(DnsSettings, TimeoutAndAttemptsAreTheSystemsUnlessGiven) {
  EXPECT_GT(detail::dns_options().timeout, 0ms);
  EXPECT_GT(detail::dns_options().attempts, 0);
  dns::configure({.timeout = 7ms, .attempts = 3});
  EXPECT_EQ(detail::dns_options().timeout, 7ms);
  EXPECT_EQ(detail::dns_options().attempts, 3);
  dns::configure({});
}

TEST(DnsSettings, LookupUnderWayGoesOnAsItBeganWhenOthersAreConfigured) {
  DnsServer before;
  DnsServer after;
  dns::configure({.servers = {before.endpoint()}, .timeout = 1h});
  auto asking = green::spawn([] { return dns::lookup("held.test"); });
  before.wait_for_held(2);
  dns::configure({.servers = {after.endpoint()}, .timeout = 1h});
  EXPECT_EQ(dns::lookup("v4.test"), Hosts{"127.0.0.1"});
  EXPECT_EQ(after.questions(), 2);
  before.release();
  EXPECT_EQ(asking.get(), Hosts{"127.0.0.1"});
  EXPECT_EQ(before.questions(), 2);
  dns::configure({});
}

TEST(DnsSettings, ServersMayHaveIpv6Addresses) {
  DnsServer server;
  dns::configure({.servers = {{"::1", server.endpoint().port}, server.endpoint()}, .timeout = 1h});
  EXPECT_EQ(dns::lookup("v4.test"), Hosts{"127.0.0.1"});  // nobody listens on ::1
  dns::configure({});
}

}  // namespace
}  // namespace greenroom
