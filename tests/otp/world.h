// What the actors of a program share: what its variables are bound to, and its trace.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/tests/otp/program.h"

namespace otp {

// A mistake put into this interpreter on purpose, to see that the comparison finds it.
enum class Mistake {
  none,
  kill_can_be_trapped,        // exit(P, kill) is sent as `killed`
  kill_of_self_is_killed,     // exit(kill) ends with `killed`
  normal_end_is_an_error,     // a body that ends normally ends with `shutdown`
  monitor_sees_normal_error,  // noproc is told as `normal`
  unlink_is_forgotten,
  demonitor_forgets_its_down,  // tells true always
  exit_comes_after_down,       // in a mailbox, EXIT and DOWN of one sender change places
  name_outlives_unregister,
};
// Throws std::invalid_argument.
Mistake mistake_of(const std::string& name);

// What a program's variables are bound to, and its trace. Any thread: actors are on several hubs.
class World {
 public:
  World(const Program& program, greenroom::Pid driver, greenroom::Placement place, Mistake mistake)
      : program_(program), driver_(driver), place_(place), mistake_(mistake) {}

  const Program& program() const { return program_; }
  greenroom::Pid driver() const { return driver_; }
  greenroom::Placement place() const { return place_; }
  Mistake mistake() const { return mistake_; }

  void bind_actor(int variable, greenroom::Pid pid);
  std::optional<greenroom::Pid> actor(const std::string& variable) const;
  std::map<int, greenroom::Pid> actors() const;
  void bind_monitor(const std::string& variable, greenroom::MonitorRef ref);
  std::optional<greenroom::MonitorRef> monitor(const std::string& variable) const;

  // A line of the actor's trace in this step.
  void log(int actor, const std::string& line);
  // The lines since the last call, by actor.
  std::vector<std::string> take_log();

 private:
  const Program& program_;
  const greenroom::Pid driver_;
  const greenroom::Placement place_;
  const Mistake mistake_;
  mutable std::mutex mutex_;
  std::map<int, greenroom::Pid> actors_;
  std::map<std::string, greenroom::MonitorRef> monitors_;
  std::map<int, std::vector<std::string>> log_;
};

}  // namespace otp
