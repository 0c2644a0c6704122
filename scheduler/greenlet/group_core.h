// What a Group is made of: the greenlets that are in it, shared by the group and by them.
//
// A group may be used by greenlets of any hub, and may end before its greenlets. One that has ended
// leaves it in the turn of its end, behind what was ready then: until then it is counted, as
// gevent's groups do.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/sync/event.h"
#include "greenroom/scheduler/sync/lock.h"
#include "greenroom/scheduler/system/crossing.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::detail {

class GroupCore;

// One greenlet's place in one group. Kept by the group, while it is in it, and by the greenlet,
// until it has ended.
class GroupMember final : private PlacedObserver {
 public:
  explicit GroupMember(std::shared_ptr<GroupCore> core)
      : PlacedObserver(&ended, Needs::turn), core_(std::move(core)) {}
  GroupMember(const GroupMember&) = delete;
  GroupMember& operator=(const GroupMember&) = delete;

  // The first reference is the group's.
  void drop() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

 private:
  friend class GroupCore;
  ~GroupMember() = default;
  void keep() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void destroy() noexcept;
  // Does what is to be done on the greenlet's hub to hear of its end, or not to any more.
  void observe(GreenletTask& task) noexcept;
  void stop_observing() noexcept;
  static bool ended(PlacedObserver& observer, GreenletTask& task, Turn* turn) noexcept;

  std::atomic<int> references_{1};
  const std::shared_ptr<GroupCore> core_;
  green::Greenlet<> greenlet_;
  // Under the group's lock.
  bool is_in_ = false;
  bool is_dying_ = false;       // kill() has hit it
  bool is_on_its_way_ = false;  // to the greenlet, on another hub
  GroupMember* next_ = nullptr;
  GroupMember* previous_ = nullptr;
};

class GroupCore : public std::enable_shared_from_this<GroupCore> {
 public:
  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

  explicit GroupCore(std::size_t slots);
  GroupCore(const GroupCore&) = delete;
  GroupCore& operator=(const GroupCore&) = delete;

  // **Blocks.** until one more has room, which is then the caller's to use or to give back; false
  // if the wait was over first.
  bool take_slot(Wait wait);
  bool try_take_slot() { return !slots_ || slots_->try_acquire(); }
  void give_slot() noexcept;
  green::Semaphore* slots() { return slots_ ? &*slots_ : nullptr; }
  std::size_t capacity() const { return capacity_; }

  // A greenlet for which the caller has taken a slot.
  void add(GreenletTask& task);
  // It starts in the group, or does not start.
  template <class F, class... A>
  auto spawn_in_slot(F f, A... a) -> green::Greenlet<std::invoke_result_t<F, A...>>;
  void discard(GreenletTask& task);
  bool contains(const Task& task) const;
  std::size_t size() const;
  std::vector<green::Greenlet<>> greenlets() const;
  bool join(Wait wait) { return empty_.wait(wait); }
  void kill(std::exception_ptr exception, Wait wait);
  // The group ends: its greenlets leave it.
  void let_all_go() noexcept;

 private:
  friend class GroupMember;
  void take_in(GroupMember& member, GreenletTask& task);
  // Under the lock.
  void list(GroupMember& member, GreenletTask& task);
  bool has(const Task& task) const;
  void leave(GroupMember& member) noexcept;
  void unlist(GroupMember& member) noexcept;
  GroupMember* find(const Task& task) const;

  const std::size_t capacity_;
  std::optional<green::Semaphore> slots_;  // none: unlimited
  mutable SharedMutex mutex_;
  GroupMember* first_ = nullptr;
  GroupMember* last_ = nullptr;
  std::size_t size_ = 0;
  std::size_t on_their_way_ = 0;  // members that other hubs' greenlets do not know yet
  green::Event empty_;            // set while it is
};

// **Blocks.** Kills them and waits for their end, whatever is pending; in hub work it only kills,
// and so it does the calling greenlet. False: not all of them have ended. Empty handles are passed
// over.
bool end_greenlets(const std::vector<green::Greenlet<>>& greenlets) noexcept;

inline bool has_returned(const GreenletTask& task) {
  return task.outcome.load(std::memory_order_acquire) == GreenletOutcome::value;
}
// What one that has ended left, moved out; rethrows what it threw, GreenletExit if it was killed.
void rethrow_end(const GreenletTask& task);
template <class R>
auto take_result(GreenletTask& task) {
  rethrow_end(task);
  if constexpr (std::is_void_v<R>) {
    return std::monostate();
  } else {
    return std::move(*static_cast<GreenletOf<R>&>(task).value);
  }
}

template <class F, class... A>
auto GroupCore::spawn_in_slot(F f, A... a) -> green::Greenlet<std::invoke_result_t<F, A...>> {
  try {
    auto* const member = new (allocate_block(sizeof(GroupMember))) GroupMember(shared_from_this());
    try {
      auto greenlet = green::spawn(std::move(f), std::move(a)...);
      take_in(*member, greenlet.task());
      return greenlet;
    } catch (...) {
      member->drop();
      throw;
    }
  } catch (...) {
    give_slot();
    throw;
  }
}

}  // namespace greenroom::detail
