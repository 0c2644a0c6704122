#include "greenroom/scheduler/greenlet/group_core.h"

#include <limits>
#include <mutex>

#include "greenroom/scheduler/greenlet/greenlet_home.h"
#include "greenroom/scheduler/greenlet/sleep.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"

namespace greenroom::detail {

bool end_greenlets(const std::vector<green::Greenlet<>>& greenlets) noexcept {
  const Hub* const hub = Hub::current_if_any();
  const Task* const self = hub ? hub->current_task() : nullptr;
  std::vector<green::Greenlet<>> running;
  for (const auto& greenlet : greenlets) {
    if (greenlet && !greenlet.ready()) running.push_back(greenlet);
  }
  if (running.empty()) return true;
  if (hub && !self) {
    green::kill(running);
    return false;
  }
  const Uncancellable they_end;
  green::kill(running);
  bool have_ended = true;
  for (const auto& greenlet : running) {
    if (&task_behind(greenlet.task()) == self) {
      have_ended = false;
    } else {
      greenlet.join();
    }
  }
  return have_ended;
}

void rethrow_end(const GreenletTask& task) {
  if (task.error) std::rethrow_exception(task.error);
  if (task.outcome.load(std::memory_order_acquire) == GreenletOutcome::killed)
    throw green::GreenletExit();
}

void GroupMember::destroy() noexcept {
  this->~GroupMember();
  release_block(this, sizeof(GroupMember));
}

void GroupMember::observe(GreenletTask& task) noexcept {
  keep();
  on_home(task, [this](GreenletTask& home) {
    home.observe(*this);
    if (!is_on_its_way_) return;
    const std::lock_guard lock(core_->mutex_);
    is_on_its_way_ = false;
    --core_->on_their_way_;
  });
}

// On its way to another hub it keeps the member, whom the greenlet's end may let go meanwhile.
void GroupMember::stop_observing() noexcept {
  keep();
  on_home(greenlet_.task(), [this](GreenletTask&) {
    if (is_linked()) {
      unlink();
      drop();
    }
    drop();
  });
}

bool GroupMember::ended(PlacedObserver& observer, GreenletTask&, Turn*) noexcept {
  auto& self = static_cast<GroupMember&>(observer);
  self.core_->leave(self);
  self.drop();
  return false;
}

GroupCore::GroupCore(std::size_t slots) : capacity_(slots) {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<int>::max());
  if (slots <= most) slots_.emplace(static_cast<int>(slots));
  empty_.set();
}

bool GroupCore::take_slot(Wait wait) { return !slots_ || slots_->acquire(wait); }

void GroupCore::give_slot() noexcept {
  if (slots_) slots_->release();
}

void GroupCore::list(GroupMember& member, GreenletTask& task) {
  member.greenlet_ = green::Greenlet<>(task);
  member.is_in_ = true;
  member.previous_ = last_;
  (last_ ? last_->next_ : first_) = &member;
  last_ = &member;
  if (++size_ == 1) empty_.clear();
  member.is_on_its_way_ = task.hub != Hub::current_if_any();
  if (member.is_on_its_way_) ++on_their_way_;
}

void GroupCore::take_in(GroupMember& member, GreenletTask& task) {
  {
    const std::lock_guard lock(mutex_);
    list(member, task);
  }
  member.observe(task);
}

void GroupCore::add(GreenletTask& task) {
  GroupMember* member = nullptr;
  try {
    member = new (allocate_block(sizeof(GroupMember))) GroupMember(shared_from_this());
  } catch (...) {
    give_slot();
    throw;
  }
  {
    const std::lock_guard lock(mutex_);
    if (has(task)) {
      member->drop();
      member = nullptr;
    } else {
      list(*member, task);
    }
  }
  member ? member->observe(task) : give_slot();
}

void GroupCore::unlist(GroupMember& member) noexcept {
  (member.previous_ ? member.previous_->next_ : first_) = member.next_;
  (member.next_ ? member.next_->previous_ : last_) = member.previous_;
  member.is_in_ = false;
  if (--size_ == 0) empty_.set();
}

void GroupCore::leave(GroupMember& member) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!member.is_in_) return;
    unlist(member);
  }
  give_slot();
  member.drop();
}

// Of a greenlet that lives here, the few who wait for its end are looked through, and not the
// group's thousands.
bool GroupCore::has(const Task& task) const {
  if (task.hub != Hub::current_if_any() || !is_greenlet(task) || on_their_way_ > 0)
    return find(task) != nullptr;
  const auto& greenlet = static_cast<const GreenletTask&>(task);
  if (greenlet.has_ended()) return find(task) != nullptr;
  const ObserverRing& head = greenlet.observers;
  for (const ExitObserver* observer = head.next; observer != &head; observer = observer->next) {
    if (observer->notify) continue;
    const auto& placed = static_cast<const PlacedObserver&>(*observer);
    if (placed.tell != &GroupMember::ended) continue;
    const auto& member = static_cast<const GroupMember&>(placed);
    if (member.core_.get() == this && member.is_in_) return true;
  }
  return false;
}

bool GroupCore::contains(const Task& task) const {
  const std::lock_guard lock(mutex_);
  return has(task);
}

GroupMember* GroupCore::find(const Task& task) const {
  for (GroupMember* member = first_; member; member = member->next_) {
    GreenletTask& greenlet = member->greenlet_.task();
    if (&greenlet == &task || &task_behind(greenlet) == &task) return member;
  }
  return nullptr;
}

void GroupCore::discard(GreenletTask& task) {
  GroupMember* member = nullptr;
  {
    const std::lock_guard lock(mutex_);
    member = find(task);
    if (!member) return;
    unlist(*member);
  }
  give_slot();
  member->stop_observing();
  member->drop();
}

std::size_t GroupCore::size() const {
  const std::lock_guard lock(mutex_);
  return size_;
}

std::vector<green::Greenlet<>> GroupCore::greenlets() const {
  const std::lock_guard lock(mutex_);
  std::vector<green::Greenlet<>> all;
  all.reserve(size_);
  for (const GroupMember* member = first_; member; member = member->next_)
    all.push_back(member->greenlet_);
  return all;
}

void GroupCore::kill(std::exception_ptr exception, Wait wait) {
  const Task& self = enter_blocking_call();
  const std::int64_t deadline = wait.to_deadline();
  const Wait until = wait.is_forever() ? wait : Wait(clock::time_point(clock::duration(deadline)));
  if (!exception) exception = std::make_exception_ptr(green::GreenletExit());
  for (;;) {
    std::vector<green::Greenlet<>> fresh;
    {
      const std::lock_guard lock(mutex_);
      fresh.reserve(size_);
      for (GroupMember* member = first_; member; member = member->next_) {
        if (!std::exchange(member->is_dying_, true)) fresh.push_back(member->greenlet_);
      }
    }
    green::kill(fresh, exception);
    std::vector<green::Greenlet<>> others = greenlets();
    const bool is_in_it = std::erase_if(others, [&](const auto& greenlet) {
                            return &task_behind(greenlet.task()) == &self;
                          }) > 0;
    if (wait.is_poll()) return;
    if (others.empty()) {
      // Its own kill comes here, unless that is held off.
      if (is_in_it) yield();
      return;
    }
    if (green::joinall(others, until).size() < others.size()) return;
    // Those that had ended before have not had their turns to leave yet.
    if (size() == others.size() + (is_in_it ? 1 : 0)) yield();
  }
}

void GroupCore::let_all_go() noexcept {
  for (;;) {
    GroupMember* member = nullptr;
    {
      const std::lock_guard lock(mutex_);
      member = first_;
      if (!member) return;
      unlist(*member);
    }
    member->stop_observing();
    member->drop();
  }
}

}  // namespace greenroom::detail
