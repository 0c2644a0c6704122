// The world of a simulation: its clock, its dice, and who is to be killed when.
//
// One thread's. All hubs of a simulation share one; whoever drives them moves the clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/testkit/simulation/simulation.h"

namespace greenroom::testkit::detail {

using greenroom::detail::Task;
class SimulatedNetwork;

// splitmix64: the same numbers on every machine.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31);
  }
  // From 0 to count - 1; a count of 1 or 0 takes no number.
  std::size_t below(std::size_t count) {
    if (count <= 1) return 0;
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::size_t>((static_cast<Wide>(next()) * count) >> 64);
  }

 private:
  std::uint64_t state_;
};

class SeededEnvironment final : public greenroom::detail::Environment {
 public:
  static constexpr std::int64_t start_time = 1'000'000'000'000;

  explicit SeededEnvironment(const Simulation& simulation, std::uint64_t seed);
  ~SeededEnvironment() override;

  // For the hubs.
  std::int64_t now() noexcept override { return now_; }
  std::size_t choose(std::size_t count) noexcept override;
  std::size_t deliver(std::size_t count) noexcept override;
  void suspending(Task& task) noexcept override;
  bool crosses(Hub& hub) noexcept override;
  greenroom::detail::EnvironmentExtension* extension(
      greenroom::detail::Layer layer) noexcept override;

  // For who drives them.
  void advance_to(std::int64_t time);
  // From 0 to count - 1, by the seed.
  std::size_t pick(std::size_t count);
  SimulatedNetwork& network() { return *network_; }
  // The one task whose suspensions are not counted; null: none is counted.
  void observe(const Task* observer, bool is_counting);
  // The victim, once it is suspended and to be killed as soon as it is; null while its hub is in
  // the middle of a slice. The caller kills it before anything else runs on its hub.
  Task* take_parked_victim();
  // The hub that Simulation::cross_at has stopped and that is to wait for the others; null: none.
  // Each call is one step of theirs; release_crossed() when they have nothing to do.
  const Hub* crossed_hub() noexcept;
  void release_crossed() noexcept { crossed_hub_ = nullptr; }
  // All of the inbox arrives at the next delivery.
  void deliver_all_once() { delivers_all_ = true; }

  int points() const { return points_; }
  int crossings() const { return crossings_; }
  int crossed() const { return crossed_; }
  std::uint64_t trace() const { return trace_; }
  const std::string& victim() const { return victim_text_; }

 private:
  void note(std::uint64_t value);
  void forget_victim();

  Dice dice_;
  std::int64_t now_ = start_time;
  std::uint64_t trace_ = 0xcbf29ce484222325U;
  const Task* observer_ = nullptr;
  bool is_counting_ = false;
  bool delivers_all_ = false;
  int points_ = 0;
  const bool has_many_hubs_;
  const Order order_;
  const int kill_at_;
  const KillMoment moment_;
  const int cross_at_;
  std::size_t one_in_;  // so many crossings a hub is stopped, if the seed chooses
  int crossings_ = 0;
  int crossed_ = 0;
  const Hub* crossed_hub_ = nullptr;
  std::uint64_t steps_of_others_ = 0;  // that are left to them while one is stopped
  Task* victim_ = nullptr;             // referenced
  std::string victim_text_;
  std::unique_ptr<SimulatedNetwork> network_;
};

// As exit(pid, kill), or a greenlet's kill. On the task's hub, as hub work.
void kill(Task& task);

}  // namespace greenroom::testkit::detail
