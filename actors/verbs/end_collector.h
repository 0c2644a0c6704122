// Waits for the ends of many actors in one walk through the mailbox.
//
// For one actor. A receive for each of them would look at everything before its Down again: in the
// mail of a supervisor with a hundred thousand children ten thousand million looks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "greenroom/actors/values/exit_reason.h"
#include "greenroom/actors/values/pid.h"
#include "greenroom/scheduler/memory/flat_index.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom {

class Mailbox;
class Message;

namespace detail {

class EndCollector {
 public:
  enum class Takes : std::uint8_t {
    downs,
    downs_and_exits,  // the first Exit that came from each before its Down, too
  };
  // Where a wait begins to look. It goes on where the last one stopped only if the caller has
  // received nothing since.
  enum class Walk : std::uint8_t { from_the_front, go_on };

  explicit EndCollector(Takes takes) : takes_(takes) {}

  // An actor that the caller monitors; not twice. Its index: they are counted from 0.
  std::size_t add(Pid pid, MonitorRef ref);
  std::size_t size() const { return ends_.size(); }
  bool has_ended(std::size_t index) const { return ends_[index].reason.has_value(); }
  Pid pid(std::size_t index) const { return ends_[index].pid; }
  MonitorRef monitor_of(std::size_t index) const { return ends_[index].ref; }
  // Of one that has ended. An Exit's, if one was taken: a monitor that came too late knows only
  // that there is nobody.
  const ExitReason& reason(std::size_t index) const;
  // It counts as ended, by that reason; its Down, should it come, stays where it is.
  void give_up(std::size_t index, const ExitReason& reason);
  void clear();

  // **Blocks.** until that one has ended, or all have; false if the wait was over first. What has
  // been taken before something is thrown stays taken.
  bool wait_for(std::size_t index, Wait wait, Walk walk);
  bool wait_for_all(Wait wait, Walk walk);

 private:
  struct End {
    Pid pid;
    MonitorRef ref;
    std::optional<ExitReason> told = {};    // by an Exit
    std::optional<ExitReason> reason = {};  // by its Down
  };

  bool is_over(std::size_t index) const {
    return index == all ? running_.empty() : has_ended(index);
  }
  bool wait_until(std::size_t index, Wait wait, Walk walk);
  bool is_awaited(Message& message);
  void take(Mailbox& mailbox);

  static constexpr std::size_t all = SIZE_MAX;
  const Takes takes_;
  std::vector<End> ends_;
  FlatIndex<Pid, std::uint32_t> running_;  // the indices of those that have not ended
};

}  // namespace detail
}  // namespace greenroom
