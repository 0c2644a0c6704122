#include "greenroom/actors/names/registry.h"

#include <algorithm>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/hub/park.h"
#include "greenroom/scheduler/system/crossing.h"

namespace greenroom {

namespace {

struct NameHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view name) const {
    return std::hash<std::string_view>()(name);
  }
};

// A name that somebody has, or waits for.
struct Entry {
  Pid owner = {};  // nobody: it is free
  detail::WaitQueue waiters = {};
};

struct Names {
  using Map = std::unordered_map<std::string, Entry, NameHash, std::equal_to<>>;
  detail::SharedMutex mutex;
  Map entries;

  void drop_if_unused(Map::iterator entry) {
    if (!entry->second.owner && entry->second.waiters.empty()) entries.erase(entry);
  }
};

// Used until the last thread has ended.
Names& names() {
  static auto* names = new Names;
  return *names;
}

}  // namespace

std::optional<Pid> whereis(std::string_view name) {
  const std::lock_guard lock(names().mutex);
  const auto found = names().entries.find(name);
  if (found == names().entries.end() || !found->second.owner) return std::nullopt;
  return found->second.owner;
}

std::vector<std::string> registered() {
  std::vector<std::string> all;
  {
    const std::lock_guard lock(names().mutex);
    for (const auto& [name, entry] : names().entries) {
      if (entry.owner) all.push_back(name);
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

namespace detail {

bool claim_name(std::string_view name, Pid pid) {
  const std::lock_guard lock(names().mutex);
  Entry& entry = names().entries[std::string(name)];
  if (entry.owner) return false;
  entry.owner = pid;
  entry.waiters.wake_all();
  return true;
}

Pid wait_for_name(std::string_view name, std::int64_t deadline) {
  Task& self = *Hub::current().current_task();
  std::unique_lock lock(names().mutex);
  for (;;) {
    Entry& entry = names().entries[std::string(name)];
    if (entry.owner) return entry.owner;
    ParkResult result = ParkResult::woken;
    {
      // The hubs of a group conclude together; outside of one any thread may take the name.
      const Hold news = self.hub->group() ? Hold() : self.hub->hold();
      WaitNode node(self);
      entry.waiters.push_back(node);
      lock.unlock();
      result = park("call.waiting_for_name", deadline);
      lock.lock();
      // Woken, it is on no list any more, and its entry may be gone.
      if (node.is_linked()) {
        node.unlink();
        names().drop_if_unused(names().entries.find(name));
      }
    }
    if (result == ParkResult::interrupted) {
      lock.unlock();
      throw_pending();
      lock.lock();
    } else if (result == ParkResult::expired) {
      const auto found = names().entries.find(name);
      return found == names().entries.end() ? Pid{} : found->second.owner;
    }
  }
}

std::vector<std::string> names_of(Pid pid) {
  std::vector<std::string> found;
  const std::lock_guard lock(names().mutex);
  for (const auto& [name, entry] : names().entries) {
    if (entry.owner == pid) found.push_back(name);
  }
  std::sort(found.begin(), found.end());
  return found;
}

bool free_name(std::string_view name, Pid pid) {
  const std::lock_guard lock(names().mutex);
  const auto found = names().entries.find(name);
  if (found == names().entries.end() || found->second.owner != pid) return false;
  found->second.owner = {};
  names().drop_if_unused(found);
  return true;
}

}  // namespace detail
}  // namespace greenroom
