#include "greenroom/scheduler/time/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

namespace greenroom::detail {
namespace {

bool is_before(const TimerNode& a, const TimerNode& b) {
  return a.deadline != b.deadline ? a.deadline < b.deadline : a.sequence < b.sequence;
}

// The three below see `next` only; sort_list's caller puts `previous_next` right.
TimerNode* merge(TimerNode* a, TimerNode* b) {
  TimerNode* merged = nullptr;
  TimerNode** tail = &merged;
  while (a != nullptr && b != nullptr) {
    TimerNode*& first = is_before(*a, *b) ? a : b;
    *tail = first;
    tail = &first->next;
    first = first->next;
  }
  *tail = a != nullptr ? a : b;
  return merged;
}

// Takes the sorted run that `rest` begins with, turned round if it descends: slots are filled at
// the front, so timers armed in order lie in one descending run, and sorting them is linear.
TimerNode* take_run(TimerNode*& rest) {
  TimerNode* first = rest;
  TimerNode* last = first;
  rest = last->next;
  if (rest != nullptr && is_before(*rest, *first)) {
    while (rest != nullptr && is_before(*rest, *first)) {
      TimerNode* after = rest->next;
      rest->next = first;
      first = rest;
      rest = after;
    }
  } else {
    while (rest != nullptr && is_before(*last, *rest)) {
      last = rest;
      rest = rest->next;
    }
  }
  last->next = nullptr;
  return first;
}

TimerNode* sort_list(TimerNode* list) {
  TimerNode* run = take_run(list);
  if (list == nullptr) return run;
  std::array<TimerNode*, 64> merged = {};  // [i]: null, or 2^i runs in one
  for (;;) {
    std::size_t i = 0;
    for (; merged[i] != nullptr; ++i) {
      run = merge(merged[i], run);
      merged[i] = nullptr;
    }
    merged[i] = run;
    if (list == nullptr) break;
    run = take_run(list);
  }
  run = nullptr;
  for (TimerNode* part : merged) run = merge(part, run);
  return run;
}

// The earliest deadline of `list`, or `bound`, which is none of them, if it is too long to tell.
std::int64_t earliest_of(const TimerNode* list, std::int64_t bound, int& budget) {
  std::int64_t earliest = TimerWheel::no_deadline;
  for (; list != nullptr; list = list->next) {
    if (budget-- <= 0) return bound;
    earliest = std::min(earliest, list->deadline);
  }
  return earliest;
}

}  // namespace

TimerWheel::TimerWheel(std::int64_t now, std::uint64_t first_sequence)
    : now_(now), last_sequence_(first_sequence) {
  assert(now >= 0);
}

// What the last of a list has left; if a slot points at it, it was the only one.
void TimerWheel::empty_slot(TimerNode** link) {
  if (std::less<>()(link, slots_.data()) || !std::less<>()(link, slots_.data() + slots_.size())) {
    return;
  }
  const auto index = static_cast<std::size_t>(link - slots_.data());
  const std::size_t level = index / slot_count;
  occupied_[level] &= ~(std::uint64_t{1} << (index % slot_count));
  if (occupied_[level] == 0) occupied_levels_ &= ~(std::uint32_t{1} << level);
  must_rescan_ = true;
}

std::size_t TimerWheel::fire_due(std::int64_t now) {
  assert(due_ == nullptr && "fire_due called from a timer");
  if (now > now_) advance(std::min(now, no_deadline - 1));
  if (earliest_ <= now_) {
    earliest_ = now_ + 1;  // all that is earlier is on past_, and leaves it below
    must_rescan_ = true;
  }
  if (past_ == nullptr) return 0;
  due_ = sort_list(past_);
  past_ = nullptr;
  TimerNode** link = &due_;
  for (TimerNode* node = due_; node != nullptr; node = node->next) {
    node->previous_next = link;
    link = &node->next;
  }
  std::size_t fired = 0;
  while (due_ != nullptr) {
    TimerNode& node = *due_;
    cancel(node);
    ++fired;
    node.fire(node);
  }
  return fired;
}

std::int64_t TimerWheel::next_deadline() {
  if (must_rescan_) rescan();
  return due_ != nullptr ? std::min(earliest_, due_->deadline) : earliest_;
}

// Empties the slots that the clock enters or passes. From the top: what comes out of one is placed
// at a lower level, by its distance from the new now, and if that level's turn puts it in the same
// slot once more, no harm is done.
void TimerWheel::advance(std::int64_t now) {
  const std::int64_t before = now_;
  now_ = now;
  const auto changed = static_cast<std::uint64_t>(before ^ now);
  const int top = static_cast<int>(std::bit_width(changed) - 1) / level_bits;
  std::uint32_t levels = occupied_levels_ & ((std::uint32_t{2} << top) - 1);
  while (levels != 0) {
    const int level = static_cast<int>(std::bit_width(levels)) - 1;
    levels ^= std::uint32_t{1} << level;
    const std::int64_t from = before >> (level * level_bits);
    const std::int64_t passed = (now >> (level * level_bits)) - from;
    std::uint64_t slots = ~std::uint64_t{0};
    if (passed < slot_count) {
      slots =
          std::rotl((std::uint64_t{1} << passed) - 1, static_cast<int>((from + 1) % slot_count));
    }
    drain(level, occupied_[static_cast<std::size_t>(level)] & slots);
  }
}

void TimerWheel::drain(int level, std::uint64_t slots) {
  const auto index = static_cast<std::size_t>(level);
  occupied_[index] &= ~slots;
  if (occupied_[index] == 0) occupied_levels_ &= ~(std::uint32_t{1} << level);
  for (; slots != 0; slots &= slots - 1) {
    const auto slot = static_cast<std::size_t>(std::countr_zero(slots));
    TimerNode* drained = std::exchange(slots_[index * slot_count + slot], nullptr);
    while (drained != nullptr) {
      TimerNode& node = *drained;
      drained = node.next;
      place(node);
    }
  }
}

void TimerWheel::rescan() {
  must_rescan_ = false;
  int budget = scan_limit;
  std::int64_t earliest = earliest_of(past_, earliest_, budget);
  for (std::uint32_t levels = occupied_levels_; levels != 0; levels &= levels - 1) {
    const int level = std::countr_zero(levels);
    const auto index = static_cast<std::size_t>(level);
    const std::int64_t position = (now_ >> (level * level_bits)) + 1;
    const int skip = static_cast<int>(position % slot_count);
    const int ahead = std::countr_zero(std::rotr(occupied_[index], skip));
    const std::int64_t begin = (position + ahead) << (level * level_bits);
    if (begin >= earliest) continue;
    const auto slot = static_cast<std::size_t>((position + ahead) % slot_count);
    earliest = std::min(earliest, earliest_of(slots_[index * slot_count + slot], begin, budget));
  }
  // Both are bounds.
  earliest_ = std::max(earliest_, earliest);
}

}  // namespace greenroom::detail
