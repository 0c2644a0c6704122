// A hub's timers: a hierarchical timer wheel of intrusive nodes, exact to the nanosecond.
//
// Level L has 64 slots of 64^L ns. A timer sits at the level of its *distance* from now, in the
// slot of its deadline, so a slot of level L lies 1 to 64 slots ahead; when the clock enters a
// slot, its timers are placed again, lower down or on the list of what is due. No tick is ever
// counted off: a step of the clock, by nanoseconds or by years, costs a few bit operations and the
// timers it passes. `occupied_` is exact: the cancel that empties a slot clears its bit.
//
// Not thread-safe: owned by one hub. Allocates nothing. A wheel that dies forgets its timers
// without touching them.
//
// Rejected: a heap (libev, asio): arm and cancel cost log n cache misses.
// Rejected: arrays of pointers with free lists, not linked nodes: fewer lines are touched, but what
//   one cancel frees the next arm waits for (125 ns for a random one of a million, and not 65).
// Rejected: a coarser tick with a sorted list for the current one: arming into it is not O(1), and
//   timers of one tick fire out of order or make it quadratic.
// Rejected: levels by the highest differing digit (tokio): simpler to scan, but once in 64^L ns
//   *all* timers beyond the boundary come down together: one long stall at a million timers.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>

namespace greenroom::detail {

// A timer, embedded in its owner. Must stay where it is while it is armed.
struct TimerNode {
  TimerNode* next;                      // while armed; for the owner's use before and after
  TimerNode** previous_next = nullptr;  // whatever points at this node; null: not armed
  std::int64_t deadline;                // ns on the hub's steady clock; set by arm
  std::uint64_t sequence;  // order of arming, among equal deadlines; set by arm, or from
                           // take_sequence
  // Called once, when due, with the node already disarmed. May arm and cancel any timer, this one
  // too, and may free the node.
  void (*fire)(TimerNode&) noexcept = nullptr;

  bool is_armed() const { return previous_next != nullptr; }
};

class TimerWheel {
 public:
  static constexpr std::int64_t no_deadline = std::numeric_limits<std::int64_t>::max();

  // `now` and all later ones are ns, not negative. The first timer gets the sequence after
  // `first_sequence`.
  explicit TimerWheel(std::int64_t now, std::uint64_t first_sequence = 0);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // O(1). The node must have its `fire` and not be armed; `deadline` is anything but
  // `no_deadline`. One in the past is due at the next fire_due.
  void arm(TimerNode& node, std::int64_t deadline);

  // O(1). Does nothing if the node is not armed. A node that is due but whose turn in fire_due has
  // not come is armed, and can be cancelled.
  void cancel(TimerNode& node);

  // Fires every timer with deadline <= now, in the order of (deadline, arming), and returns how
  // many. What is armed meanwhile waits for a later call, even if due. A `now` before the last one
  // counts as the last one. Not to be called from a `fire`.
  std::size_t fire_due(std::int64_t now);

  // The earliest deadline, `no_deadline` if there is none. Never late; early only if more than
  // `scan_limit` timers share a slot, and then one calls again after fire_due: at most once a
  // level.
  std::int64_t next_deadline();

  // For a timer that is not to be armed, and wants a sequence of its own as well.
  std::uint64_t take_sequence() { return ++last_sequence_; }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  static constexpr int scan_limit = 64;

 private:
  static constexpr unsigned level_bits = 6;
  static constexpr int slot_count = 1 << level_bits;
  static constexpr int level_count = 11;  // 66 bits; deadlines have 63

  static void push(TimerNode*& head, TimerNode& node);
  void place(TimerNode& node);
  void unlink(TimerNode& node);
  void empty_slot(TimerNode** link);
  void advance(std::int64_t now);
  void drain(int level, std::uint64_t slots);
  void rescan();

  std::array<TimerNode*, std::size_t{level_count}* slot_count> slots_ = {};
  std::array<std::uint64_t, level_count> occupied_ = {};  // a bit a slot
  std::uint32_t occupied_levels_ = 0;                     // a bit a level
  TimerNode* past_ = nullptr;  // deadline <= now_, in no order: the next fire_due's
  TimerNode* due_ = nullptr;   // sorted: what the running fire_due has still to fire
  std::int64_t now_;
  std::int64_t earliest_ = no_deadline;  // no armed timer is earlier, those on due_ apart
  bool must_rescan_ = false;             // what made earliest_ is gone
  std::uint64_t last_sequence_;
  std::size_t size_ = 0;
};

// Inlined where a timer is armed and cancelled, with as few stores as can be. Beside many others a
// timer and its neighbours are cold memory, and while a processor waits for such a line to write
// to, it queues every store that follows: the fewer come between two timers, the more of their
// misses overlap.

inline void TimerWheel::push(TimerNode*& head, TimerNode& node) {
  node.next = head;
  node.previous_next = &head;
  if (head != nullptr) head->previous_next = &node.next;
  head = &node;
}

[[gnu::always_inline]] inline void TimerWheel::place(TimerNode& node) {
  if (node.deadline <= now_) return push(past_, node);
  const auto distance = static_cast<std::uint64_t>(node.deadline - now_);
  const std::size_t level = static_cast<unsigned>(std::bit_width(distance) - 1) / level_bits;
  const auto slot = static_cast<std::size_t>(node.deadline >> (level * level_bits)) % slot_count;
  push(slots_[level * slot_count + slot], node);
  const std::uint64_t bit = std::uint64_t{1} << slot;
  if ((occupied_[level] & bit) != 0) return;
  occupied_[level] |= bit;
  occupied_levels_ |= std::uint32_t{1} << level;
}

[[gnu::always_inline]] inline void TimerWheel::unlink(TimerNode& node) {
  TimerNode** link = node.previous_next;
  *link = node.next;
  node.previous_next = nullptr;
  if (node.deadline == earliest_) [[unlikely]]
    must_rescan_ = true;
  if (node.next != nullptr) {
    node.next->previous_next = link;
  } else {
    empty_slot(link);
  }
}

[[gnu::always_inline]] inline void TimerWheel::arm(TimerNode& node, std::int64_t deadline) {
  assert(!node.is_armed());
  assert(node.fire != nullptr);
  assert(deadline != no_deadline);
  node.deadline = deadline;
  node.sequence = ++last_sequence_;
  place(node);
  ++size_;
  if (deadline < earliest_) earliest_ = deadline;
}

[[gnu::always_inline]] inline void TimerWheel::cancel(TimerNode& node) {
  if (!node.is_armed()) return;
  --size_;
  unlink(node);
}

}  // namespace greenroom::detail
