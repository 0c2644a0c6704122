// The directory: opens rooms, and counts how often they were started.
#pragma once

#include <map>
#include <string>

#include "greenroom/actors/actors.h"

namespace chat {

class Directory {
 public:
  // From a room, each time it starts.
  struct Opened {
    std::string room;
  };
  // Sees to it that there is such a room.
  struct Open {
    std::string room;
  };
  struct Restarts {};

  void handle(const Opened& opened) { ++starts_[opened.room]; }
  void handle(const Open& open);
  int handle(const Restarts&) {
    int restarts = 0;
    for (const auto& [room, starts] : starts_) restarts += starts - 1;
    return restarts;
  }

 private:
  std::map<std::string, int> starts_;
};

// Under which a room is registered.
inline std::string room_id(const std::string& room) { return "room " + room; }

}  // namespace chat
