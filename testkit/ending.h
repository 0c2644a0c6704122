// The end of a test: what is left after everybody was told to end is named.
// For the thread of the hub in question.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "greenroom/scheduler/hub/hub.h"

namespace greenroom::testkit::detail {

// A line for each thing that is left on a hub whose tasks should have ended: tasks (but the
// thread's own), timers that belong to none, names.
std::vector<std::string> leaks_of(Hub& hub);

// What a process has open; compare before and after.
class OpenDescriptors {
 public:
  OpenDescriptors();
  // A line for each that was opened since.
  std::vector<std::string> leaks() const;

 private:
  static std::vector<int> list();
  std::vector<std::string> look() const;
  std::vector<int> open_;
};

// Throws LeakError if there are any.
void throw_leaks(const std::vector<std::string>& leaks);

}  // namespace greenroom::testkit::detail
