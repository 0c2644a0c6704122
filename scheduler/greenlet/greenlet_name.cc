// Names and small numbers of greenlets, for those that are asked for them.
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/greenlet/greenlet_home.h"

namespace greenroom::detail {

namespace {

// Names may be set on any thread, and a greenlet may die on any: its numbers are guarded here,
// where nothing parks or wakes. By port, as a hub may end before its greenlets' handles do.
struct Idents {
  std::mutex mutex;
  std::map<const Port*, std::vector<bool>> taken;

  static Idents& instance() {
    static auto* idents = new Idents;  // greenlets may outlive every static
    return *idents;
  }
  int take(const Port* port) {
    std::vector<bool>& numbers = taken[port];
    std::size_t lowest = 0;
    while (lowest < numbers.size() && numbers[lowest]) ++lowest;
    if (lowest == numbers.size()) numbers.push_back(false);
    numbers[lowest] = true;
    return static_cast<int>(lowest);
  }
  void give_back(const Port* port, int number) {
    taken[port][static_cast<std::size_t>(number)] = false;
  }
};

// Under the lock.
GreenletExtras& extras_of(GreenletTask& task) {
  GreenletExtras* extras = task.extras.load(std::memory_order_acquire);
  if (!extras) {
    extras = new GreenletExtras;
    task.extras.store(extras, std::memory_order_release);
  }
  return *extras;
}

int ident_of(GreenletExtras& extras, const GreenletTask& task) {
  if (!extras.port) {
    extras.ident = Idents::instance().take(task.home);
    extras.port = task.home;
  }
  return extras.ident;
}

}  // namespace

GreenletExtras::~GreenletExtras() {
  if (!port) return;
  Idents& idents = Idents::instance();
  const std::lock_guard lock(idents.mutex);
  idents.give_back(port, ident);
}

std::string name_if_any(const GreenletTask& task) {
  const GreenletExtras* extras = task.extras.load(std::memory_order_acquire);
  if (!extras) return {};
  const std::lock_guard lock(Idents::instance().mutex);
  return extras->name.value_or(std::string());
}

int GreenletHandle::minimal_ident() const {
  const std::lock_guard lock(Idents::instance().mutex);
  return ident_of(extras_of(task()), task());
}

std::string GreenletHandle::name() const {
  const std::lock_guard lock(Idents::instance().mutex);
  GreenletExtras& extras = extras_of(task());
  if (!extras.name) extras.name = "Greenlet-" + std::to_string(ident_of(extras, task()));
  return *extras.name;
}

void GreenletHandle::set_name(std::string name) const {
  const std::lock_guard lock(Idents::instance().mutex);
  extras_of(task()).name = std::move(name);
}

}  // namespace greenroom::detail
