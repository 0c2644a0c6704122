#include "greenroom/actors/names/pid_table.h"

#include <cassert>
#include <mutex>
#include <stdexcept>

#include "greenroom/scheduler/system/crossing.h"

namespace greenroom::detail {

namespace {

// The serial after this one; 0 is never used, so that no number is 0.
std::uint64_t next_number(std::uint64_t number) noexcept {
  const std::uint64_t next = number + (std::uint64_t{1} << Pid::index_bits);
  return (next >> Pid::index_bits) == 0 ? next + (std::uint64_t{1} << Pid::index_bits) : next;
}

}  // namespace

// What all hubs share: the blocks that belong to nobody, and the number of those ever made.
struct PidTable::Directory {
  SharedMutex mutex;
  std::vector<Block*> orphans;  // of hubs that have ended; their serials go on
  std::uint32_t made = 0;
  std::uint64_t first_serial = 1;

  Block& make(PidTable& owner, std::uintptr_t content) {
    if (made >= std::size(blocks_))
      throw std::runtime_error("greenroom: 268 million pids are in use at once");
    auto* block = new Block;
    block->owner.store(&owner, std::memory_order_relaxed);
    block->first_index = made * block_size;
    for (std::uint32_t i = 0; i < block_size; ++i) {
      block->slots[i] = {(first_serial << Pid::index_bits) | (block->first_index + i), content};
    }
    blocks_[made].store(block, std::memory_order_release);  // pairs with slot_of
    ++made;
    return *block;
  }
};

std::atomic<PidTable::Block*> PidTable::blocks_[1U << (Pid::index_bits - 10)];

PidTable::Directory& PidTable::directory() {
  static auto* directory = new Directory;  // used until the last thread has ended
  return *directory;
}

PidTable::PidTable() = default;

PidTable::~PidTable() {
  Directory& shared = directory();
  const std::lock_guard lock(shared.mutex);
  for (std::uint32_t i = 0; i < shared.made; ++i) {
    Block* block = blocks_[i].load(std::memory_order_relaxed);
    if (block->owner.load(std::memory_order_relaxed) != this) continue;
    // Numbers that were handed out are not handed out again.
    for (Slot& slot : block->slots) slot = {next_number(slot.number), tag_free};
    block->owner.store(nullptr, std::memory_order_relaxed);
    shared.orphans.push_back(block);
  }
}

void PidTable::set_first_serial_for_test(std::uint64_t serial) {
  const std::lock_guard lock(directory().mutex);
  directory().first_serial = serial;
}

void PidTable::push_free(std::uint32_t index) noexcept {
  slot_at(index).content = (std::uintptr_t{no_index} << 2) | tag_free;
  if (last_free_ == no_index) {
    first_free_ = index;
  } else {
    slot_at(last_free_).content = (std::uintptr_t{index} << 2) | tag_free;
  }
  last_free_ = index;
  ++free_count_;
}

std::uint32_t PidTable::take_fresh_index() {
  if (fresh_ == fresh_end_) {
    Directory& shared = directory();
    const std::lock_guard lock(shared.mutex);
    Block* block = nullptr;
    if (shared.orphans.empty()) {
      block = &shared.make(*this, tag_free);
    } else {
      block = shared.orphans.back();
      shared.orphans.pop_back();
      block->owner.store(this, std::memory_order_relaxed);
    }
    fresh_ = block->first_index;
    fresh_end_ = fresh_ + block_size;
  }
  return fresh_++;
}

PostNode* PidTable::bind_leased(std::uint64_t number, Actor& actor) {
  Slot* slot = slot_of(number);
  assert(slot && (slot->content & tag_mask) == tag_leased);
  auto* newest = reinterpret_cast<PostNode*>(slot->content & ~tag_mask);
  slot->content = reinterpret_cast<std::uintptr_t>(&actor);
  PostNode* oldest = nullptr;
  while (newest) {
    PostNode* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  return oldest;
}

void PidTable::release(std::uint64_t number) noexcept {
  Slot* slot = slot_of(number);
  assert(slot);
  slot->number = next_number(slot->number);
  push_free(static_cast<std::uint32_t>(number & Pid::index_mask));
}

bool PidTable::wait_for_binding(std::uint64_t number, PostNode& post) noexcept {
  Slot* slot = slot_of(number);
  if (!slot || (slot->content & tag_mask) != tag_leased) return false;
  post.next = reinterpret_cast<PostNode*>(slot->content & ~tag_mask);
  slot->content = reinterpret_cast<std::uintptr_t>(&post) | tag_leased;
  return true;
}

std::vector<std::uint64_t> PidTable::lease(std::size_t count) {
  std::vector<std::uint64_t> numbers;
  numbers.reserve(count);
  while (numbers.size() < count) {
    Slot& slot = slot_at(take_index());
    slot.content = tag_leased;
    numbers.push_back(slot.number);
  }
  return numbers;
}

std::vector<std::uint64_t> PidTable::lease_new_block(PidTable& owner) {
  Directory& shared = directory();
  const std::lock_guard lock(shared.mutex);
  Block* block = nullptr;
  if (shared.orphans.empty()) {
    block = &shared.make(owner, tag_leased);
  } else {
    block = shared.orphans.back();
    shared.orphans.pop_back();
    for (Slot& slot : block->slots) slot.content = tag_leased;
    block->owner.store(&owner, std::memory_order_release);  // pairs with slot_of
  }
  std::vector<std::uint64_t> numbers;
  numbers.reserve(block_size);
  for (const Slot& slot : block->slots) numbers.push_back(slot.number);
  return numbers;
}

}  // namespace greenroom::detail
