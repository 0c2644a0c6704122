// green::Group: greenlets that belong together, as gevent.pool.Group. A Pool, which is one, has
// room for so many.
//
// Greenlets of any hub may use one. It must outlive those who wait in it; its greenlets may outlive
// it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/greenlet/group_core.h"
#include "greenroom/scheduler/greenlet/imap.h"
#include "greenroom/scheduler/greenlet/results.h"
#include "greenroom/scheduler/greenlet/sleep.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::green {

// What f gives for an item of the range; std::monostate if nothing.
template <class F, class Range>
using ResultOf = detail::MapResult<detail::MapReturn<F, Range>>;

struct ImapOptions {
  // Results that may lie unread before no more is started; 0: any number.
  std::size_t max_size = 0;
};

// Greenlets that have not ended. One that has leaves the group a turn later: then whoever was ready
// at its end has run. Its end neither joins nor kills them; Scope does.
//
// map, imap and apply end what they have started before they are left, also by an error, a kill or
// a timeout: a function given to them may refer to what outlives the call. In gevent it goes on.
class Group {
 public:
  Group() : Group(detail::GroupCore::unlimited) {}
  ~Group() { core_->let_all_go(); }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // A greenlet that runs f(a...), in this group. In a Pool **Blocks.** until there is room. As
  // Group.spawn.
  template <class F, class... A>
  auto spawn(F f, A... a) -> Greenlet<std::invoke_result_t<F, A...>> {
    core_->take_slot(Wait::forever());
    return core_->spawn_in_slot(std::move(f), std::move(a)...);
  }
  // Takes a greenlet in that runs already; one that has ended leaves again a turn later. In a Pool
  // **Blocks.** until there is room, and it may end meanwhile. As Group.add.
  void add(const Greenlet<>& greenlet) {
    core_->take_slot(Wait::forever());
    core_->add(greenlet.task());
  }
  // It goes on outside. Any thread. As Group.discard.
  void discard(const Greenlet<>& greenlet) { core_->discard(greenlet.task()); }

  // Any thread.
  bool contains(const Greenlet<>& greenlet) const { return core_->contains(greenlet.task()); }
  std::size_t size() const { return core_->size(); }
  bool empty() const { return size() == 0; }
  // In the order in which they came. Any thread.
  std::vector<Greenlet<>> greenlets() const { return core_->greenlets(); }

  // **Blocks.** f of each item, each in a greenlet of this group: the results in the range's order.
  // The first error in that order is rethrown, once all before it have ended. An item that is an
  // lvalue of a forward range is passed as such, others are copied. As Group.map.
  template <class F, class Range>
  std::vector<ResultOf<F, Range>> map(F f, Range&& range);
  // The same, as they come, while more are started. A range that is an lvalue must outlive the
  // Results, another one is moved in; it is walked by a greenlet of its own, as far as there is
  // room in a Pool and ImapOptions allow: one without an end needs one of the two. The end of the
  // Results kills and joins what still runs. As Group.imap.
  template <class F, class Range>
  Results<ResultOf<F, Range>> imap(F f, Range&& range, ImapOptions options = {}) {
    return start_imap<F, Range>(detail::ImapOrder::of_items, options, std::move(f),
                                std::forward<Range>(range));
  }
  // The same, in the order in which they end. As Group.imap_unordered.
  template <class F, class Range>
  Results<ResultOf<F, Range>> imap_unordered(F f, Range&& range, ImapOptions options = {}) {
    return start_imap<F, Range>(detail::ImapOrder::of_ends, options, std::move(f),
                                std::forward<Range>(range));
  }
  // **Blocks.** What f(a...) returns or throws in a greenlet of this group; called by one of them,
  // right here. As Group.apply.
  template <class F, class... A>
  auto apply(F f, A... a) -> std::invoke_result_t<F, A...> {
    return apply_in(*core_, std::move(f), std::move(a)...);
  }
  // A greenlet that does the same; in a Pool without room, one outside. Never parks. As
  // Group.apply_async.
  template <class F, class... A>
  auto apply_async(F f, A... a) -> Greenlet<std::invoke_result_t<F, A...>>;

  // **Blocks.** until nobody is in it, at least for a moment; false if the wait was over first. As
  // Group.join.
  bool join(Wait wait = Wait::forever()) { return core_->join(wait); }
  // **Blocks.** until nobody is in it or the wait is over. Throws `exception` (GreenletExit by
  // default) once into each greenlet of it, those that come meanwhile included. As Group.kill.
  void kill(std::exception_ptr exception = {}, Wait wait = Wait::forever()) {
    core_->kill(std::move(exception), wait);
  }

 protected:
  explicit Group(std::size_t slots) : core_(std::make_shared<detail::GroupCore>(slots)) {}
  detail::GroupCore& core() const { return *core_; }

 private:
  template <class F, class... A>
  static auto apply_in(detail::GroupCore& core, F f, A... a) -> std::invoke_result_t<F, A...>;
  template <class F, class Range>
  Results<ResultOf<F, Range>> start_imap(detail::ImapOrder order, ImapOptions options, F f,
                                         Range&& range);

  const std::shared_ptr<detail::GroupCore> core_;
};

template <class F, class Range>
std::vector<ResultOf<F, Range>> Group::map(F f, Range&& range) {
  using Return = detail::MapReturn<F, Range>;
  using Call = detail::MapCall<F, detail::MapItem<std::remove_reference_t<Range>>>;
  yield();  // as if a greenlet of its own did it, here and at the end: gevent's order
  std::vector<Greenlet<>> started;
  std::vector<ResultOf<F, Range>> results;
  const Greenlet<>* failed = nullptr;
  try {
    for (auto&& item : range) {
      started.emplace_back();
      started.back() = spawn(Call(f, std::forward<decltype(item)>(item)));
    }
    results.reserve(started.size());
    for (const Greenlet<>& greenlet : started) {
      greenlet.join();
      if (!detail::has_returned(greenlet.task())) {
        failed = &greenlet;
        break;
      }
      results.push_back(detail::take_result<Return>(greenlet.task()));
    }
    yield();  // who is ready runs before an error comes to the caller and ends the rest
  } catch (...) {
    detail::end_greenlets(started);
    throw;
  }
  if (failed) {
    const bool is_last = std::ranges::all_of(started, [](const auto& one) { return one.ready(); });
    detail::end_greenlets(started);
    if (!is_last) yield();  // those that were ended leave the group
    detail::rethrow_end(failed->task());
  }
  return results;
}

template <class F, class... A>
auto Group::apply_in(detail::GroupCore& core, F f, A... a) -> std::invoke_result_t<F, A...> {
  const detail::Task* const self = Hub::current().current_task();
  if (self && core.contains(*self)) return std::invoke(std::move(f), std::move(a)...);
  core.take_slot(Wait::forever());
  const Greenlet<> greenlet = core.spawn_in_slot(std::move(f), std::move(a)...);
  try {
    greenlet.join();
  } catch (...) {
    detail::end_greenlets({greenlet});
    throw;
  }
  using Return = std::invoke_result_t<F, A...>;
  if constexpr (std::is_void_v<Return>) {
    detail::rethrow_end(greenlet.task());
  } else {
    return detail::take_result<Return>(greenlet.task());
  }
}

template <class F, class... A>
auto Group::apply_async(F f, A... a) -> Greenlet<std::invoke_result_t<F, A...>> {
  if (core_->try_take_slot()) return core_->spawn_in_slot(std::move(f), std::move(a)...);
  return green::spawn(
      [core = core_](F f, A... a) { return apply_in(*core, std::move(f), std::move(a)...); },
      std::move(f), std::move(a)...);
}

template <class F, class Range>
Results<ResultOf<F, Range>> Group::start_imap(detail::ImapOrder order, ImapOptions options, F f,
                                              Range&& range) {
  using Source = detail::ImapSource<F, Range>;
  auto& imap = detail::Imap<F, Range>::start(core_, order, options.max_size, std::move(f),
                                             std::forward<Range>(range));
  try {
    return Results<ResultOf<F, Range>>(std::make_unique<Source>(imap));
  } catch (...) {
    imap.cancel();
    drop_reference(imap);
    throw;
  }
}

}  // namespace greenroom::green
