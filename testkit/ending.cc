#include "greenroom/testkit/ending.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <thread>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/names/registry.h"
#include "greenroom/actors/run/ending.h"
#include "greenroom/actors/verbs/timer_table.h"
#include "greenroom/io/poll/libev_poller.h"
#include "greenroom/scheduler/task/describe.h"
#include "greenroom/scheduler/trace/report_writer.h"
#include "greenroom/scheduler/watch/dump.h"
#include "greenroom/testkit/testkit.h"

namespace greenroom::testkit::detail {

using greenroom::detail::ActorHub;
using greenroom::detail::is_own_task;
using greenroom::detail::MessageTimers;
using greenroom::detail::Task;

namespace {

// The stack of the hub's thread, if it has one, is not a task that a test has made.
std::size_t own_tasks(Hub& hub) { return hub.environment() ? 0 : 1; }

}  // namespace

std::vector<std::string> leaks_of(Hub& hub) {
  std::vector<std::string> leaks;
  if (hub.task_count() > own_tasks(hub)) {
    hub.for_each_task([&](Task& task) {
      if (!is_own_task(hub, task))
        leaks.push_back(greenroom::detail::describe(task) + " has not ended");
    });
    leaks.push_back("where they are:\n" + greenroom::detail::dump_hub(hub));
    return leaks;  // whose timers the rest may be
  }
  const ActorHub& actors = ActorHub::of(hub);
  // Mail that is still to be sent, to the dead, is forgotten with the hub.
  const MessageTimers* const timers = MessageTimers::of_if_any(actors);
  const std::size_t mail = timers ? timers->by_id.size() : 0;
  if (hub.timers().size() > mail)
    leaks.push_back(std::to_string(hub.timers().size() - mail) + " timers are armed");
  for (const std::string& name : registered()) {
    const std::optional<Pid> pid = whereis(name);
    if (pid && pid->hub == hub.id())
      leaks.push_back("the name '" + name + "' is still that of " + pid->to_string());
  }
  return leaks;
}

OpenDescriptors::OpenDescriptors() : open_(list()) {}

std::vector<int> OpenDescriptors::list() {
  // One at a time: the folder that is read here is open as well.
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  std::vector<int> open;
  DIR* folder = opendir("/proc/self/fd");
  if (!folder) return open;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    const int descriptor = std::atoi(entry->d_name);
    if (descriptor != dirfd(folder)) open.push_back(descriptor);
  }
  closedir(folder);
  std::sort(open.begin(), open.end());
  return open;
}

std::vector<std::string> OpenDescriptors::look() const {
  std::vector<std::string> leaks;
  for (const int descriptor : list()) {
    if (std::binary_search(open_.begin(), open_.end(), descriptor)) continue;
    if (greenroom::detail::is_wake_descriptor(descriptor)) continue;
    char target[256] = "?";
    const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
    const ssize_t length = readlink(link.c_str(), target, sizeof target);
    leaks.push_back("descriptor " + std::to_string(descriptor) + " is open: " +
                    std::string(target, length > 0 ? static_cast<std::size_t>(length) : 1));
  }
  return leaks;
}

// What other threads have open for a moment, as the stall watch has a file of /proc, is gone when
// it is looked for again; what reports read has been closed when they are written.
std::vector<std::string> OpenDescriptors::leaks() const {
  constexpr int looks = 20;
  std::vector<std::string> leaks = look();
  if (!leaks.empty()) greenroom::detail::wait_for_reports();
  for (int i = 1; i < looks && !leaks.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::vector<std::string> again = look();
    std::erase_if(leaks, [&](const std::string& leak) {
      return std::find(again.begin(), again.end(), leak) == again.end();
    });
  }
  return leaks;
}

void throw_leaks(const std::vector<std::string>& leaks) {
  if (leaks.empty()) return;
  std::string text = "left at the end of a run:";
  for (const std::string& leak : leaks) text += "\n  " + leak;
  throw LeakError(text);
}

}  // namespace greenroom::testkit::detail
