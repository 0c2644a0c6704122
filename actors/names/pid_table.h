// A hub's pid table: from a pid's number to the actor, and who gets the next number.
//
// Slots come in blocks out of one directory of the process, so a slot index, and with it a pid's
// number, is unique in the process. A block belongs to one hub: only its thread touches the slots.
// A freed slot waits behind at least 65 536 others before its index is used again, with the next
// serial. A spawn on another hub takes its number from a lease: slots that the target has set aside
// for this hub. What arrives for a leased number before its actor does waits in the slot.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "greenroom/actors/values/pid.h"
#include "greenroom/scheduler/port/port.h"

namespace greenroom::detail {

struct Actor;

class PidTable {
 public:
  static constexpr std::uint32_t reuse_distance = 65536;
  static constexpr std::uint32_t block_size = 1024;

  PidTable();
  ~PidTable();
  PidTable(const PidTable&) = delete;
  PidTable& operator=(const PidTable&) = delete;

  // The actor of that number if it lives here; null if it is dead, leased, or never was.
  Actor* find(std::uint64_t number) const noexcept {
    const Slot* slot = slot_of(number);
    if (!slot || (slot->content & tag_mask) != tag_actor) return nullptr;
    if (slot->content == 0) __builtin_unreachable();
    return reinterpret_cast<Actor*>(slot->content);
  }

  // The number's actor lives here, or is on its way here.
  bool is_current(std::uint64_t number) const noexcept { return slot_of(number) != nullptr; }

  // A number for a new actor of this hub.
  std::uint64_t bind(Actor& actor) {
    Slot& slot = slot_at(take_index());
    slot.content = reinterpret_cast<std::uintptr_t>(&actor);
    return slot.number;
  }
  // The actor of a leased number has arrived: returns what waited for it, oldest first.
  PostNode* bind_leased(std::uint64_t number, Actor& actor);
  // The actor is dead: its number finds nothing from now on.
  void release(std::uint64_t number) noexcept;

  // Keeps a post for a leased number whose actor has not arrived; false if the number is not
  // leased.
  bool wait_for_binding(std::uint64_t number, PostNode& post) noexcept;

  // Numbers for spawns that another hub will make on this one.
  std::vector<std::uint64_t> lease(std::size_t count);
  // The same for a hub that cannot be asked at once: a new block, owned by `owner`. Any thread.
  static std::vector<std::uint64_t> lease_new_block(PidTable& owner);

  // For tests: the serial that the slots of a new block start with.
  static void set_first_serial_for_test(std::uint64_t serial);

 private:
  // content: an actor (tag 0, not null), free (tag_free with the next free index), leased
  // (tag_leased with a list of posts).
  struct Slot {
    std::uint64_t number;
    std::uintptr_t content;
  };
  struct Block {
    std::atomic<PidTable*> owner;
    std::uint32_t first_index;
    Slot slots[block_size];
  };
  struct Directory;
  static constexpr std::uintptr_t tag_mask = 3;
  static constexpr std::uintptr_t tag_actor = 0;
  static constexpr std::uintptr_t tag_free = 1;
  static constexpr std::uintptr_t tag_leased = 2;
  static constexpr std::uint32_t no_index = UINT32_MAX;

  static Directory& directory();
  static std::atomic<Block*> blocks_[1U << (Pid::index_bits - 10)];

  Slot* slot_of(std::uint64_t number) const noexcept {
    const std::uint64_t index = number & Pid::index_mask;
    Block* block = blocks_[index / block_size].load(std::memory_order_acquire);
    if (!block || block->owner.load(std::memory_order_acquire) != this) return nullptr;
    Slot& slot = block->slots[index % block_size];
    return slot.number == number ? &slot : nullptr;
  }
  Slot& slot_at(std::uint32_t index) const noexcept {
    return blocks_[index / block_size].load(std::memory_order_relaxed)->slots[index % block_size];
  }
  void push_free(std::uint32_t index) noexcept;
  std::uint32_t take_index() {
    if (free_count_ <= reuse_distance) [[unlikely]]
      return take_fresh_index();
    const std::uint32_t index = first_free_;
    first_free_ = static_cast<std::uint32_t>(slot_at(index).content >> 2);
    --free_count_;
    return index;
  }
  std::uint32_t take_fresh_index();

  std::uint32_t first_free_ = no_index;
  std::uint32_t last_free_ = no_index;
  std::uint32_t free_count_ = 0;
  std::uint32_t fresh_ = 0;  // the next index of the newest block that was never used, and its end
  std::uint32_t fresh_end_ = 0;
};

}  // namespace greenroom::detail
