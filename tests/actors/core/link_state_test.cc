// One side of a link, step by step; two sides and their signals are in link_test.
#include "greenroom/actors/core/link_state.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace greenroom::detail {
namespace {

constexpr std::uint64_t first_unlink = 7;
constexpr std::uint64_t second_unlink = 8;

TEST(LinkState, IsLinkedAsMade) {
  const LinkState link;
  EXPECT_TRUE(link.is_active());
  EXPECT_TRUE(link.is_settled());
  EXPECT_FALSE(link.awaits(0));
}

TEST(LinkState, AwaitsTheAcknowledgementOfItsOwnUnlinkOnly) {
  LinkState link;
  link.unlink(first_unlink);
  EXPECT_FALSE(link.is_active());
  EXPECT_FALSE(link.is_settled());
  EXPECT_TRUE(link.awaits(first_unlink));
  EXPECT_FALSE(link.awaits(second_unlink));
}

TEST(LinkState, LinkedAgainTakesNoExitsUntilTheUnlinkIsAcknowledged) {
  LinkState link;
  link.unlink(first_unlink);
  link.link_again();
  EXPECT_TRUE(link.is_active());
  EXPECT_FALSE(link.is_settled());
  EXPECT_TRUE(link.awaits(first_unlink));
  link.settle();
  EXPECT_TRUE(link.is_settled());
  EXPECT_FALSE(link.awaits(first_unlink));
}

TEST(LinkState, UnlinkedTwiceAwaitsTheLastAcknowledgement) {
  LinkState link;
  link.unlink(first_unlink);
  link.link_again();
  link.unlink(second_unlink);
  EXPECT_FALSE(link.is_active());
  EXPECT_FALSE(link.awaits(first_unlink));
  EXPECT_TRUE(link.awaits(second_unlink));
}

TEST(LinkState, EndedByThePeerWhileRelinkedIsOverAndStillAwaitsTheAcknowledgement) {
  LinkState link;
  link.unlink(first_unlink);
  link.link_again();
  link.end_by_peer();
  EXPECT_FALSE(link.is_active());
  EXPECT_TRUE(link.awaits(first_unlink));
}

}  // namespace
}  // namespace greenroom::detail
