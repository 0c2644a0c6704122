// Pid numbers: how far a slot is from its next use, and the serial's wrap. A table never looks at
// an actor, so any aligned address will do for one.

#include "greenroom/actors/names/pid_table.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace greenroom::detail {
namespace {

constexpr std::uint64_t last_serial = (std::uint64_t{1} << (64 - Pid::index_bits)) - 1;

alignas(16) std::byte somewhere[64];
Actor& an_actor() { return reinterpret_cast<Actor&>(somewhere); }
Actor& another_actor() { return reinterpret_cast<Actor&>(somewhere[32]); }

std::uint64_t index_of(std::uint64_t number) { return number & Pid::index_mask; }
std::uint64_t serial_of(std::uint64_t number) { return number >> Pid::index_bits; }

// Binds and releases until a slot comes again; how many others were used in between.
std::uint64_t next_use_of(PidTable& table, std::uint64_t number, std::uint64_t& again) {
  for (std::uint64_t distance = 0;; ++distance) {
    again = table.bind(an_actor());
    table.release(again);
    if (index_of(again) == index_of(number)) return distance;
  }
}

TEST(PidTable, FindsWhatIsBoundAndNothingAfterItsRelease) {
  PidTable table;
  const std::uint64_t number = table.bind(an_actor());
  EXPECT_NE(number, 0U);
  EXPECT_EQ(table.find(number), &an_actor());
  EXPECT_EQ(table.find(0), nullptr);
  EXPECT_EQ(table.find(number + (std::uint64_t{1} << Pid::index_bits)), nullptr);
  table.release(number);
  EXPECT_EQ(table.find(number), nullptr);
}

TEST(PidTable, UsesASlotAgainOnlyBehind65536Others) {
  PidTable table;
  const std::uint64_t number = table.bind(an_actor());
  table.release(number);
  std::uint64_t again = 0;
  EXPECT_GE(next_use_of(table, number, again), PidTable::reuse_distance - 1);
  EXPECT_NE(again, number);
  EXPECT_EQ(serial_of(again), serial_of(number) + 1);
}

TEST(PidTable, WrapsTheSerialPastZero) {
  PidTable::set_first_serial_for_test(last_serial);
  PidTable table;
  std::uint64_t number = table.bind(an_actor());
  while (serial_of(number) != last_serial) number = table.bind(an_actor());  // an older block
  table.release(number);
  EXPECT_EQ(table.find(number), nullptr);
  std::uint64_t again = 0;
  next_use_of(table, number, again);
  EXPECT_EQ(serial_of(again), 1U);
  PidTable::set_first_serial_for_test(1);
}

TEST(PidTable, GivesEachHubNumbersOfItsOwn) {
  PidTable one;
  PidTable other;
  std::set<std::uint64_t> indices;
  for (int i = 0; i < 5000; ++i) {
    indices.insert(index_of(one.bind(an_actor())));
    indices.insert(index_of(other.bind(an_actor())));
  }
  EXPECT_EQ(indices.size(), 10000U);
}

TEST(PidTable, DoesNotFindWhatIsAnothers) {
  PidTable one;
  PidTable other;
  EXPECT_EQ(other.find(one.bind(an_actor())), nullptr);
}

TEST(PidTable, NeverGivesTheNumbersOfATableThatHasEnded) {
  std::set<std::uint64_t> numbers;
  for (int round = 0; round < 5; ++round) {
    PidTable table;
    for (int i = 0; i < 2000; ++i) EXPECT_TRUE(numbers.insert(table.bind(an_actor())).second);
  }
}

TEST(PidTable, KeepsPostsForALeasedNumberInOrder) {
  PidTable table;
  const std::vector<std::uint64_t> leased = table.lease(3);
  ASSERT_EQ(leased.size(), 3U);
  PostNode posts[3];
  EXPECT_EQ(table.find(leased[0]), nullptr);
  for (PostNode& post : posts) EXPECT_TRUE(table.wait_for_binding(leased[0], post));
  PostNode* waiting = table.bind_leased(leased[0], another_actor());
  for (PostNode& post : posts) {
    ASSERT_EQ(waiting, &post);
    waiting = waiting->next;
  }
  EXPECT_EQ(waiting, nullptr);
  EXPECT_EQ(table.find(leased[0]), &another_actor());
  PostNode late;
  EXPECT_FALSE(table.wait_for_binding(leased[0], late));  // it is there now
  EXPECT_EQ(table.bind_leased(leased[1], an_actor()), nullptr);
}

TEST(PidTable, LeasesABlockForAHubThatCannotBeAsked) {
  PidTable table;
  const std::vector<std::uint64_t> leased = PidTable::lease_new_block(table);
  EXPECT_EQ(leased.size(), PidTable::block_size);
  PostNode post;
  EXPECT_TRUE(table.wait_for_binding(leased.back(), post));
  EXPECT_EQ(table.bind_leased(leased.back(), an_actor()), &post);
}

}  // namespace
}  // namespace greenroom::detail
