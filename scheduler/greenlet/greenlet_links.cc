// Links: functions that a greenlet's end calls.
#include <atomic>
#include <memory>
#include <utility>

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/greenlet/greenlet_home.h"
#include "greenroom/scheduler/hub/report.h"
#include "greenroom/scheduler/hub/turn.h"

namespace greenroom::detail {

// What a link is to call: on the greenlet's list until it is told, or unlinked there.
struct Callback final : PlacedObserver {
  enum class Where : std::uint8_t { greenlet, hub_work };
  enum class When : std::uint8_t { always, value, exception };
  using Function = std::function<void(const green::Greenlet<>&)>;

  Callback(const GreenletTask& task, Function function, Where place, When moment)
      : PlacedObserver(&call, Needs::turn),
        greenlet(&task),
        f(std::move(function)),
        where(place),
        when(moment) {}

  bool is_wanted(const green::Greenlet<>& ended) const {
    return !is_unlinked.load() &&
           (when == When::always || (when == When::value) == ended.successful());
  }
  // Off the list.
  void leave() {
    unlink();
    const std::shared_ptr<Callback> last = std::move(self);
  }

  static bool call(PlacedObserver& observer, GreenletTask& task, Turn* turn) noexcept {
    const std::shared_ptr<Callback> callback = std::move(static_cast<Callback&>(observer).self);
    green::Greenlet<> ended(task);
    if (!callback->is_wanted(ended)) return false;
    if (callback->where == Where::hub_work) {
      callback->call_here(ended);
      return false;
    }
    Hub& hub = Hub::current();
    // It may be unlinked before it runs, by another thread.
    auto* body = make_greenlet(hub, [callback, ended = std::move(ended)] { callback->f(ended); });
    const green::Greenlet<> handle(*body, GreenletHandle::First());
    turn ? turn->start_first(*body) : hub.start(*body);
    return turn != nullptr;
  }
  void call_here(const green::Greenlet<>& ended) const noexcept {
    try {
      f(ended);
    } catch (...) {
      report_uncaught(ended.task(), "a rawlink of ");
    }
  }

  const GreenletTask* const greenlet;  // only compared
  const Function f;
  const Where where;
  const When when;
  std::atomic<bool> is_unlinked{false};
  std::shared_ptr<Callback> self = {};  // while it is on the list
};

namespace {

std::shared_ptr<Callback> add_callback(GreenletTask& task, Callback::Function f,
                                       Callback::Where where, Callback::When when) {
  auto callback = std::make_shared<Callback>(task, std::move(f), where, when);
  on_home(task, [callback](GreenletTask& home) {
    callback->self = callback;
    home.observe(*callback);
  });
  return callback;
}

}  // namespace

green::Link GreenletHandle::on_exit(Callback::Function f) const {
  return green::Link(
      add_callback(task(), std::move(f), Callback::Where::greenlet, Callback::When::always));
}

green::Link GreenletHandle::on_value(Callback::Function f) const {
  return green::Link(
      add_callback(task(), std::move(f), Callback::Where::greenlet, Callback::When::value));
}

green::Link GreenletHandle::on_exception(Callback::Function f) const {
  return green::Link(
      add_callback(task(), std::move(f), Callback::Where::greenlet, Callback::When::exception));
}

green::Link GreenletHandle::rawlink(Callback::Function f) const {
  return green::Link(
      add_callback(task(), std::move(f), Callback::Where::hub_work, Callback::When::always));
}

void GreenletHandle::unlink(const green::Link& link) const {
  if (!link.callback_ || link.callback_->greenlet != &task()) return;
  if (link.callback_->is_unlinked.exchange(true)) return;
  // One whose greenlet has ended goes when its turn comes.
  if (task().has_ended()) return;
  on_home(task(), [callback = link.callback_](GreenletTask& home) {
    if (!home.has_ended()) callback->leave();
  });
}

bool GreenletHandle::has_links() const { return !task().observers.empty(); }

}  // namespace greenroom::detail
