// What the tests of servers share: a server with a bit of everything, on the same or another hub.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <ostream>
#include <stdexcept>
#include <utility>

#include "greenroom/tests/actors/probe.h"

namespace greenroom::probe {

struct Go {};
struct Ready {};

// What many of the tests ask of it.
struct Desk {
  struct Add {
    int n;
  };
  struct Get {};
  struct Throw {};
  struct Stop {
    ExitReason reason;
  };
  struct Wait {};  // until Go comes as a message
  struct Forget {};
  struct Defer {};
  struct Answer {
    int n;
  };
  struct Fail {};

  int sum = 0;
  std::optional<ReplyTo<int>> deferred = {};

  void handle(const Add& add) { sum += add.n; }
  int handle(Get) { return sum; }
  int handle(Throw) { throw std::runtime_error("no tea"); }
  void handle(const Stop& request) { stop(request.reason); }
  int handle(Wait) {
    receive([](Go) {});
    return sum;
  }
  void handle(Forget, ReplyTo<int>) {}
  void handle(Defer, ReplyTo<int> reply) { deferred = std::move(reply); }
  void handle(Answer answer) {
    if (deferred) deferred->reply(answer.n);
  }
  void handle(Fail) {
    if (deferred) deferred->fail(ExitReason("sold out"));
  }
};

enum class Peer { same_hub, other_hub };
inline std::ostream& operator<<(std::ostream& out, Peer peer) {
  return out << (peer == Peer::same_hub ? "on the same hub" : "on another hub");
}

class Server : public testing::TestWithParam<Peer> {
 protected:
  static Placement place() { return GetParam() == Peer::same_hub ? Placement::here : elsewhere(); }
  static ServerRef<Desk> desk() { return start<Desk>(SpawnOptions{.place = place()}); }
  static void end(Pid pid) {
    exit(pid, Reason::kill);
    end_of(pid);
  }
};

}  // namespace greenroom::probe
