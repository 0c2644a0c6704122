// Actors: greenlets with an inbox, which do one thing with each message.
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/examples/gevent/failure.h"
#include "greenroom/examples/gevent/flags.h"
#include "greenroom/mailbox/queue.h"
#include "greenroom/scheduler/green.h"

using namespace greenroom;

namespace {

// A class derived from it says what it does with a message. It must outlive its greenlet.
class Actor {
 public:
  explicit Actor(Wait patience) : patience_(patience) {}
  virtual ~Actor() = default;

  green::Greenlet<> start() {
    return green::spawn([this] { run(); });
  }
  green::Queue<std::string> inbox;

 protected:
  virtual void receive(const std::string& message) = 0;

 private:
  void run() try {
    for (;;) receive(inbox.get(patience_));
  } catch (const green::Empty&) {
    std::puts("Nobody writes any more");
  }

  Wait patience_;
};

struct Rules {
  int messages = 0;  // that the pinger hears
  int fail_at = 0;   // the message that it throws at
  std::chrono::nanoseconds pause = {};
  Wait patience = Wait::forever();
};

class Pinger : public Actor {
 public:
  Pinger(const Rules& rules, Actor& ponger)
      : Actor(rules.patience), rules_(rules), ponger_(ponger) {}

 protected:
  void receive(const std::string& message) override {
    std::puts(message.c_str());
    if (++heard_ == rules_.fail_at) throw std::runtime_error("The pinger has failed");
    if (heard_ < rules_.messages) ponger_.inbox.put("ping");
    sleep(rules_.pause);
  }

 private:
  const Rules& rules_;
  Actor& ponger_;
  int heard_ = 0;
};

class Ponger : public Actor {
 public:
  explicit Ponger(const Rules& rules) : Actor(rules.patience), rules_(rules) {}
  void plays_with(Actor& pinger) { pinger_ = &pinger; }

 protected:
  void receive(const std::string& message) override {
    std::puts(message.c_str());
    pinger_->inbox.put("pong");
    sleep(rules_.pause);
  }

 private:
  const Rules& rules_;
  Actor* pinger_ = nullptr;
};

struct Pair {
  explicit Pair(const Rules& rules) : ponger(rules), pinger(rules, ponger) {
    ponger.plays_with(pinger);
  }
  Ponger ponger;
  Pinger pinger;
};

}  // namespace

int main(int argc, char** argv) {
  Flags flags(argc, argv, 0.01);
  const int pairs = flags.count("pairs", 1, "how many play");
  const Rules rules{.messages = flags.count("messages", 4, "how many each pinger hears"),
                    .fail_at = flags.count("fail-at", 0, "which it throws at (0: none)"),
                    .pause = flags.time("pause", 0, "how long each rests after a message"),
                    .patience = flags.limit("timeout", 0, "how long each waits for a message")};
  flags.check();

  std::vector<std::unique_ptr<Pair>> table;
  std::vector<green::Greenlet<>> all;
  for (int n = 0; n < pairs; ++n) {
    table.push_back(std::make_unique<Pair>(rules));
    all.push_back(table.back()->pinger.start());
    all.push_back(table.back()->ponger.start());
    table.back()->pinger.inbox.put("start");
  }

  // In the end they all wait for a message and nobody is left to write one. Main, which waits for
  // them, is told by an exception. Its text lists who waits; this is the name and the sentence by
  // which gevent calls it.
  try {
    green::joinall(all);
  } catch (const green::LoopExit&) {
    std::puts("LoopExit This operation would block forever");
  }

  for (const green::Greenlet<>& greenlet : all) {
    if (const std::string failure = failure_of(greenlet); !failure.empty() && failure != "late")
      std::puts(failure.c_str());
  }
  green::killall(all);  // before the actors are gone
  return 0;
}
