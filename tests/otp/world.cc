#include "greenroom/tests/otp/world.h"

#include <stdexcept>

namespace otp {

using greenroom::MonitorRef;
using greenroom::Pid;

Mistake mistake_of(const std::string& name) {
  static const std::map<std::string, Mistake> mistakes{
      {"none", Mistake::none},
      {"kill_can_be_trapped", Mistake::kill_can_be_trapped},
      {"kill_of_self_is_killed", Mistake::kill_of_self_is_killed},
      {"normal_end_is_an_error", Mistake::normal_end_is_an_error},
      {"monitor_sees_normal_error", Mistake::monitor_sees_normal_error},
      {"unlink_is_forgotten", Mistake::unlink_is_forgotten},
      {"demonitor_forgets_its_down", Mistake::demonitor_forgets_its_down},
      {"exit_comes_after_down", Mistake::exit_comes_after_down},
      {"name_outlives_unregister", Mistake::name_outlives_unregister},
  };
  const auto found = mistakes.find(name);
  if (found == mistakes.end()) throw std::invalid_argument("no such mistake: " + name);
  return found->second;
}

void World::bind_actor(int variable, Pid pid) {
  const std::lock_guard lock(mutex_);
  actors_[variable] = pid;
}

std::optional<Pid> World::actor(const std::string& variable) const {
  const std::lock_guard lock(mutex_);
  const auto found = actors_.find(number_of(variable));
  if (found == actors_.end()) return std::nullopt;
  return found->second;
}

std::map<int, Pid> World::actors() const {
  const std::lock_guard lock(mutex_);
  return actors_;
}

void World::bind_monitor(const std::string& variable, MonitorRef ref) {
  const std::lock_guard lock(mutex_);
  monitors_[variable] = ref;
}

std::optional<MonitorRef> World::monitor(const std::string& variable) const {
  const std::lock_guard lock(mutex_);
  const auto found = monitors_.find(variable);
  if (found == monitors_.end()) return std::nullopt;
  return found->second;
}

void World::log(int actor, const std::string& line) {
  const std::lock_guard lock(mutex_);
  log_[actor].push_back("p" + std::to_string(actor) + " " + line);
}

std::vector<std::string> World::take_log() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> lines;
  for (const auto& [actor, some] : log_) lines.insert(lines.end(), some.begin(), some.end());
  log_.clear();
  return lines;
}

}  // namespace otp
