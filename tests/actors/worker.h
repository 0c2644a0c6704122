// What the tests of supervisors share: a worker that tells of its starts and ends, and what they do
// with it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "greenroom/tests/actors/probe.h"

namespace greenroom::probe {

// "a+": a has started; "a-": a was told to end.
struct Event {
  std::string text;
  Pid pid;
};

struct End {
  ExitReason reason;
};

// Whether a worker's constructor throws: shared with the test.
struct Switch {
  bool is_broken = false;
  int attempts = 0;
};

struct Worker {
  static constexpr bool trap_exits = true;
  Worker(std::string name, Pid owner, std::shared_ptr<Switch> power = nullptr)
      : id(std::move(name)), test(owner) {
    if (power) ++power->attempts;
    if (power && power->is_broken) throw std::runtime_error("broken");
    send(test, Event{id + "+", self()});
  }
  void handle(const End& end) { stop(end.reason); }
  void handle(const Exit&) {}
  void terminate(const ExitReason&) { send(test, Event{id + "-", self()}); }
  std::string id;
  Pid test;
};

inline ChildSpec worker(const std::string& id, Restart restart = Restart::permanent,
                        std::shared_ptr<Switch> power = nullptr) {
  return child<Worker>({.id = id, .restart = restart}, id, self(), std::move(power));
}

// So many events as text: "a+b+".
inline std::string events(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += next<Event>().text;
  return text;
}
inline Pid pid_of(const std::string& id) { return whereis(id).value_or(Pid{}); }
inline void crash(const std::string& id, ExitReason reason = ExitReason("boom")) {
  cast(ServerRef<Worker>(pid_of(id)), End{std::move(reason)});
}
inline const ChildInfo* find(const std::vector<ChildInfo>& all, const std::string& id) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const ChildInfo& info) { return info.id == id; });
  return found == all.end() ? nullptr : &*found;
}
// Ends a tree as its parent does, and waits.
inline void shut_down(Pid tree) {
  const MonitorRef ref = monitor(tree);
  exit(tree, Reason::shutdown);
  EXPECT_EQ(end_of(ref), Reason::shutdown);
}
// The first actor's tests trap exits: the tree is linked to it.
inline void in_trapping_actor(std::function<void()> body) {
  in_actor([&body] {
    trap_exits();
    body();
  });
}

}  // namespace greenroom::probe
