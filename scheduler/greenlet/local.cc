#include "greenroom/scheduler/greenlet/local.h"

#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/greenlet/local_values.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"

namespace greenroom::detail {

// The slots of all tasks that have a value.
struct LocalKey::Slots {
  SharedMutex mutex;
  LocalSlot* first = nullptr;
  bool is_over = false;
};

// Where a task keeps its value. The task's; it is empty once the local has ended.
class LocalSlot {
 public:
  LocalSlot(std::shared_ptr<LocalKey::Slots> slots, std::unique_ptr<LocalValue> value)
      : slots_(std::move(slots)), value_(std::move(value)) {
    const std::lock_guard lock(slots_->mutex);
    next_ = std::exchange(slots_->first, this);
    if (next_) next_->previous_ = this;
  }
  ~LocalSlot() {
    const std::unique_ptr<LocalValue> value = take_out();  // its end, under no lock
  }
  LocalSlot(const LocalSlot&) = delete;
  LocalSlot& operator=(const LocalSlot&) = delete;

  // On the task's hub, where only the end of the local can change it.
  LocalValue* value() const { return value_.get(); }
  bool is_over() const {
    const std::lock_guard lock(slots_->mutex);
    return slots_->is_over;
  }
  // Off the list of its local, which may be ending.
  std::unique_ptr<LocalValue> take_out() noexcept {
    const std::lock_guard lock(slots_->mutex);
    return unlist();
  }
  // The same under the lock.
  std::unique_ptr<LocalValue> unlist() noexcept {
    if (previous_ || slots_->first == this) {
      (previous_ ? previous_->next_ : slots_->first) = next_;
      if (next_) next_->previous_ = previous_;
      next_ = previous_ = nullptr;
    }
    return std::move(value_);
  }

 private:
  const std::shared_ptr<LocalKey::Slots> slots_;  // so no other local gets its address meanwhile
  std::unique_ptr<LocalValue> value_;
  LocalSlot* next_ = nullptr;
  LocalSlot* previous_ = nullptr;
};

std::shared_ptr<LocalKey::Slots> LocalKey::make_slots() { return std::make_shared<Slots>(); }

LocalKey::~LocalKey() {
  std::vector<std::unique_ptr<LocalValue>> values;
  const std::lock_guard lock(slots_->mutex);
  slots_->is_over = true;
  while (slots_->first) values.push_back(slots_->first->unlist());
}

LocalValue& LocalKey::value(std::unique_ptr<LocalValue> (*make)(const void* context),
                            const void* context) {
  Task* self = Hub::current().current_task();
  if (!self) {
    throw std::logic_error(
        "greenroom: a green::local in hub work, which is no greenlet's; spawn a greenlet and use "
        "it there");
  }
  const void* key = slots_.get();
  if (const LocalValues* values = LocalValues::of_if_any(*self)) {
    if (LocalValue* value = values->find(key)) return *value;
  }
  auto slot = std::make_unique<LocalSlot>(slots_, make(context));
  LocalValues& values = LocalValues::of(*self);
  // To make it may have used this very local.
  if (LocalValue* value = values.find(key)) return *value;
  return values.insert(key, std::move(slot));
}

// A task's values.

LocalValues::~LocalValues() = default;

LocalValues* LocalValues::of_if_any(const Task& task) noexcept {
  return task.interrupts ? static_cast<LocalValues*>(task.interrupts->locals.get()) : nullptr;
}

LocalValues& LocalValues::of(Task& task) {
  std::unique_ptr<TaskPart>& values = interrupts_of(task).locals;
  if (!values) values = std::make_unique<LocalValues>();
  return static_cast<LocalValues&>(*values);
}

void LocalValues::end(Task& task, End end) noexcept {
  auto slots = std::exchange(slots_, {});
  if (end == End::abandoned && !task.hub->is_ending()) {
    green::spawn([slots = std::move(slots)] {});
    return;
  }
  const Uncancellable destructors_may_park;
  slots.clear();
}

LocalValue* LocalValues::find(const void* key) const {
  const auto found = slots_.find(key);
  return found == slots_.end() ? nullptr : found->second->value();
}

LocalValue& LocalValues::insert(const void* key, std::unique_ptr<LocalSlot> slot) {
  if (slots_.size() >= looked_at_) forget_the_ended();
  LocalValue& value = *slot->value();
  slots_[key] = std::move(slot);
  return value;
}

// Long-lived tasks may see any number of locals come and go.
void LocalValues::forget_the_ended() {
  std::erase_if(slots_, [](const auto& entry) { return entry.second->is_over(); });
  looked_at_ = slots_.size() * 2 + 8;
}

}  // namespace greenroom::detail
