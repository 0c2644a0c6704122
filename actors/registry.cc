#include "greenroom/actors/registry.h"

#include <algorithm>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>

#include "greenroom/actors/name_waiters.h"

namespace greenroom {

namespace {

struct NameHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view name) const {
    return std::hash<std::string_view>()(name);
  }
};

struct Names {
  std::mutex mutex;
  std::unordered_map<std::string, Pid, NameHash, std::equal_to<>> pids;
};

// Used until the last thread has ended.
Names& names() {
  static auto* names = new Names;
  return *names;
}

}  // namespace

std::optional<Pid> whereis(std::string_view name) {
  const std::lock_guard lock(names().mutex);
  const auto found = names().pids.find(name);
  if (found == names().pids.end()) return std::nullopt;
  return found->second;
}

std::vector<std::string> registered() {
  std::vector<std::string> all;
  {
    const std::lock_guard lock(names().mutex);
    for (const auto& [name, pid] : names().pids) all.push_back(name);
  }
  std::sort(all.begin(), all.end());
  return all;
}

namespace detail {

NameWaiters& name_waiters() {
  static auto* waiters = new NameWaiters;
  return *waiters;
}

bool claim_name(std::string_view name, Pid pid) {
  {
    const std::lock_guard lock(names().mutex);
    if (!names().pids.try_emplace(std::string(name), pid).second) return false;
  }
  NameWaiters& waiters = name_waiters();
  const std::lock_guard lock(waiters.mutex);
  waiters.queue.wake_all();
  return true;
}

std::vector<std::string> names_of(Pid pid) {
  std::vector<std::string> found;
  const std::lock_guard lock(names().mutex);
  for (const auto& [name, owner] : names().pids) {
    if (owner == pid) found.push_back(name);
  }
  std::sort(found.begin(), found.end());
  return found;
}

bool free_name(std::string_view name, Pid pid) {
  const std::lock_guard lock(names().mutex);
  const auto found = names().pids.find(name);
  if (found == names().pids.end() || found->second != pid) return false;
  names().pids.erase(found);
  return true;
}

}  // namespace detail
}  // namespace greenroom
