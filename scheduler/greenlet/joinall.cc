// joinall: a wait for several greenlets. Of this hub's it needs no turns, as only its end shows.
#include <algorithm>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/greenlet/greenlet_home.h"
#include "greenroom/scheduler/greenlet/waitable.h"

namespace greenroom::green {

namespace {

// What joinall knows of those that it waits for.
struct Gathering {
  std::vector<Greenlet<>> ended;
  std::size_t wanted = 0;
  bool raises = false;
  bool has_failed = false;
  detail::Waker waker;  // of the present park; one that is over takes no wake

  bool is_over() const { return ended.size() >= wanted || has_failed; }
  // Those that end after the last one that is wanted do not count.
  void add(const Greenlet<>& greenlet) {
    if (is_over()) return;
    ended.push_back(greenlet);
    has_failed = raises && !greenlet.successful();
  }
  std::vector<Greenlet<>> result() {
    if (has_failed) std::rethrow_exception(ended.back().exception());
    return std::move(ended);
  }
};

// One of joinall's observers: in its frame.
struct GroupJoiner final : detail::PlacedObserver {
  explicit GroupJoiner(Gathering& all) : PlacedObserver(&note, Needs::nothing), gathering(all) {}
  ~GroupJoiner() { unlink(); }
  static bool note(PlacedObserver& observer, detail::GreenletTask& task,
                   detail::Turn* turn) noexcept {
    Gathering& all = static_cast<GroupJoiner&>(observer).gathering;
    if (all.is_over()) return false;
    all.add(Greenlet<>(task));
    return all.is_over() && detail::wake_in(turn, all.waker);
  }
  Gathering& gathering;
};

// Until it is over, or the deadline has come.
void gather(detail::Task& self, Gathering& gathering, const std::vector<Greenlet<>>& awaited,
            std::int64_t deadline) {
  std::deque<GroupJoiner> joiners;
  for (const Greenlet<>& greenlet : awaited)
    greenlet.task().observe(joiners.emplace_back(gathering));
  while (!gathering.is_over()) {
    const detail::Waiting waiting(self);
    gathering.waker = waiting.waker();
    const detail::ParkResult result = detail::park("joinall", deadline);
    if (result == detail::ParkResult::interrupted) detail::throw_pending();
    if (result == detail::ParkResult::expired) break;
  }
}

}  // namespace

std::vector<Greenlet<>> joinall(const std::vector<Greenlet<>>& greenlets, Wait wait,
                                JoinOptions options) {
  detail::Task& self = detail::enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  Gathering gathering;
  gathering.raises = options.raise_error;
  gathering.wanted =
      options.count == 0 ? greenlets.size() : std::min(options.count, greenlets.size());
  std::vector<Greenlet<>> alive;
  bool are_here = true;
  bool is_telling = false;
  for (const Greenlet<>& greenlet : greenlets) {
    if (greenlet.ready()) {
      is_telling = is_telling || detail::is_being_told_here(greenlet.task());
      gathering.add(greenlet);
    } else {
      are_here = are_here && greenlet.task().hub == self.hub;
      alive.push_back(greenlet);
    }
  }
  if (wait.is_poll() || greenlets.empty()) return gathering.result();
  if (is_telling && are_here) {
    // The turn of an end is for this call, too.
    gathering.ended.clear();
    gathering.has_failed = false;
    gather(self, gathering, greenlets, deadline);
  } else if (gathering.is_over()) {
    // They tell it in turns of their own, of which it sees the last.
    self.hub->yield();
    detail::throw_pending(self);
  } else if (are_here) {
    gather(self, gathering, alive, deadline);
  } else {
    Results<Waitable> ready =
        iwait({alive.begin(), alive.end()}, {.timeout = detail::to_wait(deadline)});
    std::unordered_map<const void*, const Greenlet<>*> by_task;
    for (const Greenlet<>& greenlet : alive) by_task[&greenlet.task()] = &greenlet;
    while (!gathering.is_over()) {
      const std::optional<Waitable> next = ready.next();
      if (!next) break;
      gathering.add(*by_task[next->object()]);
    }
  }
  return gathering.result();
}

}  // namespace greenroom::green
