// green::Pool: a group with room for so many greenlets, as gevent.pool.Pool.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <stdexcept>

#include "greenroom/scheduler/greenlet/group.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::green {

// Thrown by Pool::add when there was no room in time.
struct PoolFull : std::exception {
  const char* what() const noexcept override { return "the pool is full"; }
};

// spawn, add, map, imap and apply wait for room, first come, first served, also where it is used as
// a Group. A greenlet that has ended makes room when it leaves the group.
class Pool : public Group {
 public:
  // With room for any number.
  Pool() = default;
  // With room for `size` greenlets; 0: for none at all. Throws std::invalid_argument for a size
  // that is no number of greenlets: one that was negative.
  explicit Pool(std::size_t size) : Group(checked(size)) {}

  using Group::add;
  // **Blocks.** as add(), and throws PoolFull if the wait was over before there was room.
  void add(const Greenlet<>& greenlet, Wait wait) {
    if (!core().take_slot(wait)) throw PoolFull();
    core().add(greenlet.task());
  }

  // For how many there is room. Any thread. As Pool.free_count.
  std::size_t free_count() const {
    const std::size_t here = size();
    return core().capacity() - std::min(here, core().capacity());
  }
  bool full() const { return free_count() == 0; }
  // **Blocks.** until there is room, for whoever comes first; false if the wait was over before, or
  // the room is somebody's who waited longer. As Pool.wait_available.
  bool wait_available(Wait wait = Wait::forever()) {
    return !core().slots() || core().slots()->wait(wait) > 0;
  }

 private:
  static std::size_t checked(std::size_t size) {
    if (static_cast<std::ptrdiff_t>(size) >= 0) return size;
    throw std::invalid_argument("greenroom: a Pool's size must not be negative");
  }
};

}  // namespace greenroom::green
