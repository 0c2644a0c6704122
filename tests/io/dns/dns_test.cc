#include "greenroom/io/dns.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

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

class Dns : public testing::Test {
 protected:
  // Nothing here may find its answer only after a timeout.
  Dns() { dns::configure({.servers = {server.endpoint()}, .timeout = 1h}); }
  ~Dns() override { dns::configure({}); }

  DnsServer server;
};

std::error_code error_of_lookup(const std::string& host) {
  return error_of([&] { dns::lookup(host); });
}

std::string message_of_lookup(const std::string& host) {
  try {
    dns::lookup(host);
    return "found";
  } catch (const IoError& error) {
    return error.what();
  }
}

TEST_F(Dns, FindsTheAddressOfAName) { EXPECT_EQ(dns::lookup("v4.test"), Hosts{"127.0.0.1"}); }

TEST_F(Dns, FindsAnIpv6Address) { EXPECT_EQ(dns::lookup("v6.test"), Hosts{"::1"}); }

TEST_F(Dns, FindsBothKindsThatHaveARoute) {
  const Hosts hosts = dns::lookup("both.test");
  try {
    tcp::Listener listener({"::1", 0});
  } catch (const IoError&) {
    EXPECT_EQ(hosts, Hosts{"127.0.0.1"});
    return;
  }
  EXPECT_EQ(hosts, (Hosts{"::1", "127.0.0.1"}));  // RFC 6724
}

TEST_F(Dns, FollowsAnAlias) { EXPECT_EQ(dns::lookup("alias.test"), Hosts{"127.0.0.1"}); }

TEST_F(Dns, NameMayEndWithADot) { EXPECT_EQ(dns::lookup("v4.test."), Hosts{"127.0.0.1"}); }

TEST_F(Dns, ConnectTakesAName) {
  tcp::Listener listener({"127.0.0.1", 0});
  const tcp::Stream stream = tcp::connect({"v4.test", listener.local().port});
  EXPECT_EQ(stream.peer(), listener.local());
}

TEST_F(Dns, ConnectSaysWhyTheAddressOfANameRefuses) {
  const std::uint16_t port = tcp::Listener({"127.0.0.1", 0}).local().port;
  EXPECT_EQ(error_of([&] { tcp::connect({"v4.test", port}); }), std::errc::connection_refused);
}

TEST_F(Dns, ListenerTakesAName) {
  EXPECT_EQ(tcp::Listener({"v4.test", 0}).local().host, "127.0.0.1");
}

TEST_F(Dns, NumericHostIsItsOwnAddressAndAsksNobody) {
  EXPECT_EQ(dns::lookup("192.0.2.1"), Hosts{"192.0.2.1"});
  EXPECT_EQ(dns::lookup("2001:db8::1"), Hosts{"2001:db8::1"});
  EXPECT_EQ(server.questions(), 0);
}

TEST_F(Dns, NameInTheHostsFileAsksNobody) {
  std::ifstream file("/etc/hosts");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string address;
    std::string name;
    if (!(words >> address >> name) || address.starts_with('#') || name == "localhost") continue;
    const Hosts found = dns::lookup(name);
    EXPECT_NE(std::find(found.begin(), found.end(), address), found.end()) << name;
    EXPECT_EQ(server.questions(), 0);
    return;
  }
  // A machine whose file has localhost alone, which is answered without the file.
  GTEST_SKIP() << "no other name than localhost in /etc/hosts";
}

TEST_F(Dns, TruncatedAnswerIsAskedForOverTcp) {
  EXPECT_EQ(dns::lookup("long.test").size(), 100U);
  EXPECT_GT(server.tcp_questions(), 0);
}

TEST_F(Dns, ConnectTriesOneAddressOfANameAfterTheOther) {
  const Hosts hosts = dns::lookup("long.test");
  tcp::Listener listener({hosts.back(), 0});  // at none of the others
  tcp::Stream stream = tcp::connect({"long.test", listener.local().port});
  EXPECT_EQ(stream.peer().host, hosts.back());
  EXPECT_EQ(hosts.size(), 100U);
}

TEST_F(Dns, DatagramsThatAnswerNothingArePassedOver) {
  EXPECT_EQ(dns::lookup("noise.test"), Hosts{"127.0.0.1"});
}

TEST_F(Dns, NextServerIsAskedIfTheFirstIsDown) {
  dns::configure({.servers = {dns_testing::nobody(), server.endpoint()}, .timeout = 1h});
  EXPECT_EQ(dns::lookup("v4.test"), Hosts{"127.0.0.1"});
}

// Errors.

TEST_F(Dns, ErrorNamesTheOperationTheHostAndTheReason) {
  EXPECT_EQ(message_of_lookup("nobody.test"), "dns.resolve nobody.test: Domain name not found");
  EXPECT_EQ(error_of_lookup("nobody.test"), std::errc::host_unreachable);
}

TEST_F(Dns, NameWithoutAddressesIsUnreachable) {
  EXPECT_EQ(error_of_lookup("empty.test"), std::errc::host_unreachable);
}

TEST_F(Dns, NameThatCannotBeIsUnreachableAndAsksNobody) {
  std::string longest = "v4-x";
  while (longest.size() < 253) longest += ".name";
  longest.resize(253, 'x');
  EXPECT_EQ(dns::lookup(longest), Hosts{"127.0.0.1"});
  EXPECT_EQ(dns::lookup(longest + "."), Hosts{"127.0.0.1"});
  const int before = server.questions();
  EXPECT_EQ(error_of_lookup(longest + "x"), std::errc::host_unreachable);
  EXPECT_EQ(error_of_lookup(std::string(64, 'a') + ".test"), std::errc::host_unreachable);
  EXPECT_EQ(error_of_lookup("v4..test"), std::errc::host_unreachable);
  EXPECT_EQ(server.questions(), before);
}

TEST_F(Dns, NameWithANulIsAnInvalidArgumentThatIsShownWhole) {
  const std::string host("v4\0.test", 8);
  EXPECT_EQ(error_of_lookup(host), std::errc::invalid_argument);
  EXPECT_EQ(message_of_lookup(host), "dns.resolve v4\\0.test: Invalid argument");
}

TEST_F(Dns, ServerThatIsDownIsToBeTriedAgain) {
  dns::configure({.servers = {dns_testing::nobody()}, .timeout = 1h});
  EXPECT_EQ(error_of_lookup("v4.test"), std::errc::resource_unavailable_try_again);
  EXPECT_EQ(message_of_lookup("v4.test"),
            "dns.resolve v4.test: No name server answers the question");
}

TEST_F(Dns, ServerThatFailsRefusesHangsUpOrTalksNonsenseIsToBeTriedAgain) {
  for (const char* host : {"failed.test", "refused.test", "hangup.test", "broken.test"})
    EXPECT_EQ(error_of_lookup(host), std::errc::resource_unavailable_try_again) << host;
}

TEST_F(Dns, ServerThatSaysNothingIsToBeTriedAgain) {
  dns::configure({.servers = {server.endpoint()}, .timeout = 5ms, .attempts = 2});
  EXPECT_EQ(error_of_lookup("silent.test"), std::errc::resource_unavailable_try_again);
  while (server.questions() < 4) sleep(1ms);  // two kinds, twice
  EXPECT_EQ(server.questions(), 4);
}

TEST_F(Dns, LookupInHubWorkIsRefused) {
  green::AsyncResult<std::string> refusal;
  Hub::current().post([&] {
    try {
      dns::lookup("v4.test");
    } catch (const std::logic_error& error) {
      refusal.set(error.what());
    }
  });
  EXPECT_FALSE(refusal.get().empty());
}

}  // namespace
}  // namespace greenroom
