// A mailbox as a data structure: order, removal anywhere, and where a scan is; and messages.

#include "greenroom/mailbox/mailbox.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace greenroom {
namespace {

using detail::make_message;

void push(Mailbox& mailbox, int n) { mailbox.push(make_message(n)); }

std::string content(const Mailbox& mailbox) {
  std::string text;
  mailbox.for_each([&](const Message& message) { text += std::to_string(message.as<int>()); });
  return text;
}

bool remove(Mailbox& mailbox, int n) {
  return mailbox.remove_first_if([n](Message& message) { return message.as<int>() == n; }) !=
         nullptr;
}

TEST(Mailbox, KeepsTheOrderOfArrival) {
  Mailbox mailbox;
  EXPECT_TRUE(mailbox.empty());
  for (int n = 1; n <= 5; ++n) push(mailbox, n);
  EXPECT_EQ(content(mailbox), "12345");
  EXPECT_EQ(mailbox.size(), 5U);
  for (int n = 1; n <= 5; ++n) EXPECT_EQ(mailbox.pop_front()->as<int>(), n);
  EXPECT_EQ(mailbox.pop_front(), nullptr);
  push(mailbox, 6);
  EXPECT_EQ(content(mailbox), "6");
}

TEST(Mailbox, RemovesFirstMiddleAndLastAndStillAppends) {
  for (const int gone : {1, 2, 3}) {
    Mailbox mailbox;
    for (int n = 1; n <= 3; ++n) push(mailbox, n);
    EXPECT_TRUE(remove(mailbox, gone));
    EXPECT_FALSE(remove(mailbox, gone));
    push(mailbox, 4);
    std::string expected = "1234";
    expected.erase(static_cast<std::size_t>(gone - 1), 1);
    EXPECT_EQ(content(mailbox), expected);
  }
}

TEST(Mailbox, GoesOnScanningWhereItStopped) {
  Mailbox mailbox;
  for (int n = 1; n <= 3; ++n) push(mailbox, n);
  mailbox.start_scan();
  while (mailbox.scanned()) mailbox.skip();
  push(mailbox, 4);
  ASSERT_TRUE(mailbox.scanned());
  EXPECT_EQ(mailbox.scanned()->as<int>(), 4);
  EXPECT_EQ(mailbox.take_scanned()->as<int>(), 4);
  EXPECT_EQ(mailbox.scanned(), nullptr);
  push(mailbox, 5);
  EXPECT_EQ(mailbox.scanned()->as<int>(), 5);
  mailbox.start_scan();
  EXPECT_EQ(mailbox.scanned()->as<int>(), 1);
}

// A demonitor, or a limit that drops the oldest, takes messages from under a parked receive.
TEST(Mailbox, ScanSurvivesTheRemovalOfAnyMessage) {
  for (int gone = 1; gone <= 3; ++gone) {
    for (int skipped = 0; skipped <= 3; ++skipped) {
      Mailbox mailbox;
      for (int n = 1; n <= 3; ++n) push(mailbox, n);
      mailbox.start_scan();
      for (int n = 0; n < skipped; ++n) mailbox.skip();
      remove(mailbox, gone);
      push(mailbox, 4);
      std::string rest;
      for (; mailbox.scanned(); mailbox.skip())
        rest += std::to_string(mailbox.scanned()->as<int>());
      std::string expected;
      for (int n = skipped + 1; n <= 4; ++n)
        if (n != gone) expected += std::to_string(n);
      EXPECT_EQ(rest, expected) << gone << " removed after " << skipped << " were skipped";
    }
  }
}

TEST(Mailbox, DoesNotCountSignalsAgainstALimit) {
  Mailbox mailbox;
  push(mailbox, 1);
  mailbox.push_signal(make_message(2));
  EXPECT_EQ(mailbox.size(), 2U);
  EXPECT_EQ(mailbox.user_size(), 1U);
  remove(mailbox, 2);
  EXPECT_EQ(mailbox.user_size(), 1U);
}

TEST(Mailbox, DestroysWhatIsLeft) {
  auto owned = std::make_shared<int>(1);
  {
    Mailbox mailbox;
    for (int n = 0; n < 3; ++n) mailbox.push(make_message(owned));
    EXPECT_EQ(owned.use_count(), 4);
    mailbox.pop_front();
    EXPECT_EQ(owned.use_count(), 3);
  }
  EXPECT_EQ(owned.use_count(), 1);
}

TEST(Message, KnowsItsExactType) {
  const auto message = make_message(std::string("text"));
  EXPECT_TRUE(message->is<std::string>());
  EXPECT_FALSE(message->is<int>());
  EXPECT_EQ(message->as<std::string>(), "text");
  EXPECT_NE(message->type_name().find("string"), std::string::npos);
}

TEST(Message, WhoseMoveThrowsLeavesNothing) {
  struct Thrower {
    std::shared_ptr<int> owned;
    int moves_left = 1;
    Thrower(std::shared_ptr<int> value) : owned(std::move(value)) {}
    // It keeps what it is moved from: the move may fail.
    // NOLINTNEXTLINE(performance-move-constructor-init)
    Thrower(Thrower&& other) noexcept(false) : owned(other.owned), moves_left(other.moves_left) {
      if (--moves_left < 0) throw std::runtime_error("no");
    }
  };
  auto owned = std::make_shared<int>(1);
  Thrower thrower(owned);
  thrower.moves_left = 1;
  EXPECT_THROW(make_message<Thrower>(std::move(thrower)), std::runtime_error);
  EXPECT_EQ(owned.use_count(), 2);
}

TEST(Message, IsAlignedForItsValue) {
  struct alignas(16) Wide {
    char bytes[48];
  };
  const auto message = make_message(Wide());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&message->as<Wide>()) % 16, 0U);
}

}  // namespace
}  // namespace greenroom
