#include "greenroom/scheduler/greenlet/imap.h"

#include <limits>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"

namespace greenroom::detail {

// A worker's place among the results, which are taken up in the turn of its end. The worker's.
class ImapCore::Place final : public PlacedObserver {
 public:
  Place(ImapCore& imap_core, std::size_t item)
      : PlacedObserver(
            [](PlacedObserver& observer, GreenletTask&, Turn*) noexcept {
              auto& self = static_cast<Place&>(observer);
              self.core.take_up(self);
              return false;
            },
            Needs::turn),
        core(imap_core),
        index(item) {
    add_reference(core);
  }
  ~Place() { drop_reference(core); }

  ImapCore& core;
  const std::size_t index;
  green::Greenlet<> worker = {};
  // Among those that run, under the core's lock.
  Place* next_running = nullptr;
  Place* previous_running = nullptr;
};

ImapCore::ImapCore(std::shared_ptr<GroupCore> group, ImapOrder order, std::size_t max_size,
                   Destroy destroy)
    : Turn(&resume_reader, destroy), group_(std::move(group)), order_(order) {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<int>::max());
  if (max_size > 0 && max_size <= most) unread_.emplace(static_cast<int>(max_size));
}

void ImapCore::wait_for_room() {
  if (unread_) unread_->acquire();
  group_->take_slot(Wait::forever());
}

ImapCore::Place* ImapCore::make_place() {
  return new (allocate_block(sizeof(Place))) Place(*this, started_);
}

void ImapCore::drop(Place& place) noexcept {
  place.~Place();
  release_block(&place, sizeof(Place));
}

void ImapCore::note_started(Place& place, GreenletTask& worker) noexcept {
  ++started_;
  place.worker = green::Greenlet<>(worker);
  {
    const std::lock_guard lock(mutex_);
    ++running_;
    place.next_running = first_running_;
    if (first_running_) first_running_->previous_running = &place;
    first_running_ = &place;
  }
  worker.add_observer(place);  // it lives here, and has not run yet
}

void ImapCore::take_up(Place& place) noexcept {
  {
    const std::lock_guard lock(mutex_);
    (place.previous_running ? place.previous_running->next_running : first_running_) =
        place.next_running;
    if (place.next_running) place.next_running->previous_running = place.previous_running;
    --running_;
    if (order_ == ImapOrder::of_ends) {
      ended_.push_back(std::move(place.worker));
    } else {
      const std::size_t at = place.index - next_;
      if (at >= ended_.size()) ended_.resize(at + 1);
      ended_[at] = std::move(place.worker);
    }
    call_reader();
  }
  drop(place);
}

void ImapCore::end_feeding(std::exception_ptr error) noexcept {
  const std::lock_guard lock(mutex_);
  is_fed_ = true;
  range_error_ = std::move(error);
  if (is_over()) call_reader();
}

void ImapCore::end_unfed() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (is_fed_) return;
  }
  end_feeding(std::make_exception_ptr(green::GreenletExit()));
}

// Under the lock.
void ImapCore::call_reader() noexcept {
  if (!reader_) return;
  Hub* const hub = Hub::current_if_any();
  const Waker waker = reader_->waiting.waker();
  if (hub && waker.task().hub == hub && call(*hub)) return;
  reader_ = nullptr;
  waker.wake_from_anywhere();
}

void ImapCore::resume_reader(Turn& turn) noexcept {
  auto& self = static_cast<ImapCore&>(turn);
  const std::lock_guard lock(self.mutex_);
  if (!self.reader_ || !(self.has_next() || self.is_over())) return;
  const Waker waker = std::exchange(self.reader_, nullptr)->waiting.waker();
  if (waker.task().hub == self.hub) {
    self.resume_first(waker);
  } else {
    waker.wake_by_post();
  }
}

green::Greenlet<> ImapCore::next(Wait wait) {
  Task& self = enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  if (unread_ && !std::exchange(has_asked_, true)) unread_->release();
  std::unique_lock lock(mutex_);
  for (;;) {
    if (has_next()) {
      green::Greenlet<> ended = std::move(ended_.front());
      ended_.pop_front();
      ++next_;
      has_asked_ = false;
      return ended;
    }
    if (is_over()) {
      if (range_error_) std::rethrow_exception(std::exchange(range_error_, nullptr));
      return {};
    }
    if (wait.is_poll()) throw TimeoutError();
    if (reader_) {
      throw std::logic_error(
          "greenroom: another greenlet waits for the next of these Results; let one of them read");
    }
    const GreenletTask& feeder = feeder_.task();
    const Hold hold =
        feeder.hub == self.hub ? Hold() : self.hub->hold_for_news_from(feeder.home->number());
    WaitNode node(self);
    reader_ = &node;
    lock.unlock();
    const ParkResult result = detail::park("results.next", deadline);
    lock.lock();
    if (reader_ == &node) reader_ = nullptr;
    if (result == ParkResult::interrupted) {
      lock.unlock();
      throw_pending();
      lock.lock();
    } else if (result == ParkResult::expired && !has_next() && !is_over()) {
      throw TimeoutError();
    }
  }
}

bool ImapCore::cancel() noexcept {
  bool have_ended = end_greenlets({feeder_});
  std::vector<green::Greenlet<>> running;
  {
    const std::lock_guard lock(mutex_);
    running.reserve(running_);
    for (const Place* place = first_running_; place; place = place->next_running)
      running.push_back(place->worker);
  }
  have_ended = end_greenlets(running) && have_ended;
  return have_ended;
}

}  // namespace greenroom::detail
