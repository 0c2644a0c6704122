#include "greenroom/io/socket/address.h"

#include <gtest/gtest.h>

namespace greenroom::detail {
namespace {

struct Case {
  std::string host;
  std::string printed;
};

void PrintTo(const Case& c, std::ostream* out) { *out << '"' << c.host << '"'; }

class NumericHost : public testing::TestWithParam<Case> {};

TEST_P(NumericHost, IsReadAndPrinted) {
  const auto address = Address::parse(GetParam().host, 80);
  ASSERT_TRUE(address);
  EXPECT_EQ(to_string(*address), GetParam().printed);
  EXPECT_EQ(Address::copy(address->data(), address->size()).to_endpoint(), address->to_endpoint());
}

INSTANTIATE_TEST_SUITE_P(Address, NumericHost,
                         testing::Values(Case{"127.0.0.1", "127.0.0.1:80"},
                                         Case{"0.0.0.0", "0.0.0.0:80"}, Case{"::1", "[::1]:80"},
                                         Case{"0:0:0:0:0:0:0:1", "[::1]:80"},
                                         Case{"fe80::1%1", "[fe80::1%1]:80"}));

class Name : public testing::TestWithParam<std::string> {};

TEST_P(Name, IsNoNumericHost) { EXPECT_FALSE(Address::parse(GetParam(), 80)); }

INSTANTIATE_TEST_SUITE_P(Address, Name,
                         testing::Values("", "localhost", "127.1", "256.0.0.1", "127.0.0.1 ",
                                         " 127.0.0.1", std::string("127.0.0.1\0x", 11), "[::1]",
                                         "fe80::1%no-such-interface", "1.2.3.4.5"));

TEST(Address, OfAnotherFamilyIsNone) {
  sockaddr other{};
  other.sa_family = AF_UNIX;
  EXPECT_EQ(to_string(Address::copy(&other, sizeof other)), "");
  EXPECT_EQ(to_string(Address::copy(&other, 0)), "");
  other.sa_family = AF_INET6;  // cut short
  EXPECT_EQ(to_string(Address::copy(&other, sizeof other)), "");
}

}  // namespace
}  // namespace greenroom::detail
