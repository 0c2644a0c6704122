#include "greenroom/scheduler/greenlet/waitable.h"

#include <algorithm>
#include <cassert>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "greenroom/scheduler/greenlet/greenlet_home.h"
#include "greenroom/scheduler/hub/hub.h"

namespace greenroom {

namespace detail {

// Links.

ReadyLink::ReadyLink(Act act, Destroy destroy)
    : Turn(&run, destroy), act_(act), port_(Hub::current().port()), entry_(*this), ended_(*this) {}

ReadyLink::Entry::Entry(ReadyLink& owner)
    : ReadyEntry([](ReadyEntry& entry) noexcept { return static_cast<Entry&>(entry).link.tell(); },
                 &owner),
      link(owner) {}

ReadyLink::Ended::Ended(ReadyLink& owner)
    : PlacedObserver(
          [](PlacedObserver& observer, GreenletTask&, Turn* turn) noexcept {
            ReadyLink& link = static_cast<Ended&>(observer).link;
            return link.act_(link, turn);
          },
          Needs::turn),
      link(owner) {}

void ReadyLink::run(Turn& turn) noexcept {
  auto& link = static_cast<ReadyLink&>(turn);
  link.act_(link, &turn);
}

bool ReadyLink::tell() noexcept {
  const Hub* here = Hub::current_if_any();
  if (here && here->id() == port_.number()) {
    tell_here();
    return true;
  }
  add_reference(*this);
  const bool is_posted = Hub::post_to(port_, [this] {
    tell_here();
    drop_reference(*this);
  });
  if (!is_posted) drop_reference(*this);
  return false;
}

void ReadyLink::tell_here() noexcept {
  // A hub that is ending runs nobody any more.
  static_cast<void>(call(*Hub::current_if_any()));
}

// What can be waited for.

struct GreenletLinks {
  static bool is_ready(const void* object) {
    return static_cast<const GreenletTask*>(object)->has_ended();
  }
  // One that has ended tells it in a turn of its own.
  static bool link(void* object, ReadyLink& link) {
    auto& task = *static_cast<GreenletTask*>(object);
    if (task.home == &link.port_) {
      task.observe(link.ended_);
      return true;
    }
    link.hold_ = Hub::current().hold_for_news_from(task.home->number());
    const auto keep = std::shared_ptr<ReadyLink>((add_reference(link), &link),
                                                 [](ReadyLink* kept) { drop_reference(*kept); });
    link.remote_ = GreenletHandle(task).rawlink([keep](const green::Greenlet<>&) { keep->tell(); });
    return true;
  }
  static void unlink(void* object, ReadyLink& link) noexcept {
    auto& task = *static_cast<GreenletTask*>(object);
    if (task.home == &link.port_) return link.ended_.unlink();
    GreenletHandle(task).unlink(link.remote_);
    link.remote_ = green::Link();
    link.hold_.release();
  }
  static void add(void* object) noexcept { add_reference(*static_cast<GreenletTask*>(object)); }
  static void drop(void* object) noexcept { drop_reference(*static_cast<GreenletTask*>(object)); }
};

const WaitableOps waitable_greenlet = {&GreenletLinks::is_ready, &GreenletLinks::link,
                                       &GreenletLinks::unlink,   false,
                                       &GreenletLinks::add,      &GreenletLinks::drop};

template <class T>
constexpr WaitableOps ops_of(bool may_pass) {
  return {
      .is_ready = [](const void* object) { return static_cast<const T*>(object)->is_ready(); },
      .link = [](void* object,
                 ReadyLink& link) { return static_cast<T*>(object)->hang_on(link.entry()); },
      .unlink = [](void* object,
                   ReadyLink& link) noexcept { static_cast<T*>(object)->take_off(link.entry()); },
      .may_pass = may_pass,
  };
}

const WaitableOps waitable_event = ops_of<green::Event>(false);
const WaitableOps waitable_semaphore = ops_of<green::Semaphore>(true);

}  // namespace detail

namespace green {

namespace {

class WaitSource final : public detail::ResultSource<Waitable> {
 public:
  WaitSource(std::vector<Waitable> objects, WaitOptions options)
      : objects_(std::move(objects)),
        options_(options),
        left_(options.count == 0 ? objects_.size() : std::min(options.count, objects_.size())) {}
  ~WaitSource() override { withdraw(); }

  std::optional<Waitable> next(Wait wait) override;
  // All that are to come.
  std::vector<Waitable> all();

 private:
  struct Place;

  void begin(const detail::Task& self);
  void look() noexcept;
  bool wait_for(std::size_t count, detail::Task& self, Wait wait);
  Waitable take();
  void withdraw(std::size_t index) noexcept;
  void withdraw() noexcept;

  const std::vector<Waitable> objects_;
  const WaitOptions options_;
  std::size_t left_;               // so many are to come
  std::deque<std::size_t> ready_;  // told and not taken, by their index
  std::vector<Place*> places_;     // null: told, and off its object
  std::int64_t deadline_ = detail::no_deadline;
  Hub* hub_ = nullptr;      // since it has begun
  std::size_t wanted_ = 0;  // so many wake the waiter; 0: nobody waits
  detail::Waker waker_;     // its
};

// Its link to one of the objects.
struct WaitSource::Place final : detail::ReadyLink {
  Place(WaitSource& owner, std::size_t number)
      : ReadyLink(&act, [](Turn& turn) noexcept { delete static_cast<Place*>(&turn); }),
        source(&owner),
        index(number) {}

  static bool act(ReadyLink& link, detail::Turn* turn) noexcept {
    auto& self = static_cast<Place&>(link);
    if (!self.source) return false;
    WaitSource& source = *self.source;
    const Waitable& object = source.objects_[self.index];
    object.unlink(self);
    if (turn && object.ops().may_pass && !object.ready() && object.link(self)) return false;
    source.places_[self.index] = nullptr;
    source.ready_.push_back(self.index);
    self.source = nullptr;
    drop_reference(self);  // perhaps the last one: a greenlet's end acts in its own turn
    return source.wanted_ > 0 && source.ready_.size() >= source.wanted_ &&
           detail::wake_in(turn, source.waker_);
  }

  WaitSource* source;  // null: it is no longer waited for
  const std::size_t index;
};

void WaitSource::begin(const detail::Task& self) {
  if (hub_) {
    if (hub_ == self.hub) return;
    throw std::logic_error("greenroom: an iwait on another hub than the one it has begun on");
  }
  hub_ = self.hub;
  deadline_ = options_.timeout.to_deadline();
  places_.resize(objects_.size(), nullptr);
  if (options_.timeout.is_poll()) {
    for (std::size_t i = 0; i < objects_.size(); ++i) {
      if (objects_[i].ready()) ready_.push_back(i);
    }
    left_ = std::min(left_, ready_.size());
  } else if (left_ > 0) {
    for (std::size_t i = 0; i < objects_.size(); ++i) {
      places_[i] = new Place(*this, i);
      if (!objects_[i].link(*places_[i])) places_[i]->tell();
    }
  }
}

std::optional<Waitable> WaitSource::next(Wait wait) {
  detail::Task& self = detail::enter_blocking_call();
  begin(self);
  if (left_ == 0) return std::nullopt;
  if (!wait_for(1, self, wait)) {
    left_ = 0;
    withdraw();
    return std::nullopt;
  }
  --left_;
  const Waitable next = take();
  if (left_ == 0) withdraw();
  return next;
}

std::vector<Waitable> WaitSource::all() {
  detail::Task& self = detail::enter_blocking_call();
  begin(self);
  if (left_ > 0) wait_for(left_, self, Wait::forever());
  std::vector<Waitable> all;
  for (left_ = std::min(left_, ready_.size()); left_ > 0; --left_) all.push_back(take());
  return all;
}

// Those whose turn is still to come are taken, too: for a call that does not wait.
void WaitSource::look() noexcept {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (!places_[i] || !objects_[i].ready()) continue;
    withdraw(i);
    ready_.push_back(i);
  }
}

// False: the time for all of it is over. TimeoutError: the wait is, before that.
[[gnu::noinline]] bool WaitSource::wait_for(std::size_t count, detail::Task& self, Wait wait) {
  if (ready_.size() < count && wait.is_poll()) {
    look();
    if (ready_.size() < count) throw TimeoutError();
  }
  const std::int64_t own = wait.to_deadline();
  while (ready_.size() < count) {
    const detail::Waiting waiting(self);
    waker_ = waiting.waker();
    wanted_ = count;
    const detail::ParkResult result = detail::park("wait", std::min(own, deadline_));
    wanted_ = 0;
    if (result == detail::ParkResult::interrupted) detail::throw_pending();
    if (result != detail::ParkResult::expired || ready_.size() >= count) continue;
    if (deadline_ <= own) return false;
    throw TimeoutError();
  }
  return true;
}

Waitable WaitSource::take() {
  const std::size_t index = ready_.front();
  ready_.pop_front();
  return objects_[index];
}

void WaitSource::withdraw(std::size_t index) noexcept {
  Place* place = std::exchange(places_[index], nullptr);
  if (!place) return;
  objects_[index].unlink(*place);
  place->source = nullptr;
  drop_reference(*place);
}

void WaitSource::withdraw() noexcept {
  for (std::size_t i = 0; i < places_.size(); ++i) withdraw(i);
}

}  // namespace

std::vector<Waitable> wait(std::vector<Waitable> objects, WaitOptions options) {
  return WaitSource(std::move(objects), options).all();
}

Results<Waitable> iwait(std::vector<Waitable> objects, WaitOptions options) {
  return Results<Waitable>(std::make_unique<WaitSource>(std::move(objects), options));
}

}  // namespace green
}  // namespace greenroom
