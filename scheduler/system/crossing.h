// Crossings: the places inside a call where another hub's thread could act in between.
//
// On real hubs whatever one thread does may fall between any two instructions of another. What
// matters are the points where the two can see each other: a lock that hubs share is taken or
// given back, a post is pushed, another hub's data is read. There stands a crossing. It does
// nothing, but for a simulation, where it may stop this hub in the middle of its slice and let
// others go on first; without it a slice would be one piece, and no race inside a call could show.
// A test on real hubs may make it a random yield.
//
// No crossing comes while a SharedMutex is held: it comes when the outermost one is given back. A
// std::mutex that is held across one would be asked for by the same thread again: so every lock
// under which something is posted or woken is a SharedMutex.
#pragma once

#include <atomic>
#include <mutex>

namespace greenroom::detail {

// What there is to do at a crossing; one table for the process, as long as it lives.
struct CrossingHooks {
  void (*cross)() noexcept;
  void (*about_to_lock)() noexcept;
  void (*locked)() noexcept;
  void (*unlocked)() noexcept;
};
// Off a simulation: at random one crossing in so many gives the processor up for a moment; 0: none.
extern constinit std::atomic<unsigned> yields_at_crossings;
// Null: nobody looks.
extern constinit std::atomic<const CrossingHooks*> crossing_hooks;
inline const CrossingHooks* crossing_hooks_if_any() noexcept {
  return crossing_hooks.load(std::memory_order_relaxed);  // the table is constant
}

inline void cross() noexcept {
  if (const CrossingHooks* hooks = crossing_hooks_if_any()) [[unlikely]]
    hooks->cross();
}

// A mutex that threads of several hubs take. Never held across a park.
class SharedMutex {
 public:
  constexpr SharedMutex() = default;
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;

  void lock() {
    if (const CrossingHooks* hooks = crossing_hooks_if_any()) [[unlikely]]
      return lock_watched(*hooks);
    mutex_.lock();
  }
  void unlock() {
    mutex_.unlock();
    if (const CrossingHooks* hooks = crossing_hooks_if_any()) [[unlikely]]
      hooks->unlocked();
  }

 private:
  void lock_watched(const CrossingHooks& hooks);

  std::mutex mutex_;
};

}  // namespace greenroom::detail
