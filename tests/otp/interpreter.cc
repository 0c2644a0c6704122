#include "greenroom/tests/otp/interpreter.h"

#include <sstream>
#include <stdexcept>
#include <unordered_map>
#include <utility>

namespace otp {

using greenroom::Down;
using greenroom::Exit;
using greenroom::ExitReason;
using greenroom::MonitorRef;
using greenroom::Pid;

// Text.

// A detail is a number here: "shutdown(2)".
std::string to_text(const ExitReason& reason) {
  std::string text(reason.tag());
  if (const int* detail = reason.detail<int>()) text += "(" + std::to_string(*detail) + ")";
  return text;
}

std::string to_text(Pid pid) { return pid ? pid.to_string() : "nobody"; }

namespace {

std::string to_text(MonitorRef ref) {
  std::ostringstream out;
  out << ref;
  return out.str();
}

std::string to_text(bool value) { return value ? "true" : "false"; }

ExitReason reason_of(const std::string& text) {
  const auto paren = text.find('(');
  if (paren == std::string::npos) return ExitReason(text);
  return ExitReason(text.substr(0, paren), std::stoi(text.substr(paren + 1)));
}

// Every item starts with its sender, by which the comparison sorts.
std::string item(const Text& message) { return otp::to_text(message.from) + " " + message.text; }
std::string item(const Exit& message) {
  return otp::to_text(message.from) + " EXIT " + otp::to_text(message.reason);
}
std::string item(const Down& message) {
  return otp::to_text(message.pid) + " DOWN " + to_text(message.ref) + " " +
         otp::to_text(message.reason);
}

// Commands.

// Thrown by `return`: the body ends normally.
struct Return {};

class Interpreter {
 public:
  Interpreter(World& world, int me) : world_(world), me_(me) {}

  void run(const Commands& commands) {
    for (const Command& command : commands) run(command);
  }

 private:
  using Verb = void (Interpreter::*)(const Command&);
  static const std::unordered_map<std::string, Verb>& verbs();

  void run(const Command& command) {
    const bool is_spawn = command[0].starts_with("spawn");
    for (std::size_t i = is_spawn ? 2 : 1; i < command.size(); ++i) {
      if ((command[i][0] == 'p' && !world_.actor(command[i])) ||
          (command[i][0] == 'r' && command[0].find("demonitor") == 0 &&
           !world_.monitor(command[i])) ||
          (command[0] == "take_down" && !world_.monitor(command[i])))
        return result(command, "skip");
    }
    (this->*verbs().at(command[0]))(command);
  }

  Pid actor(const Command& command, std::size_t i) const { return *world_.actor(command[i]); }
  bool has(Mistake mistake) const { return world_.mistake() == mistake; }

  // Commands without a result are logged before they act: they may be the actor's last.
  void before(const Command& command) { world_.log(me_, text(command)); }
  void result(const Command& command, const std::string& value) {
    world_.log(me_, text(command) + " -> " + value);
  }
  static std::string text(const Command& command) {
    std::string text;
    for (const std::string& word : command) text += (text.empty() ? "" : " ") + word;
    return text;
  }

  void trap(const Command& c) { result(c, to_text(greenroom::trap_exits(c[1] == "on"))); }
  void link(const Command& c) {
    before(c);
    greenroom::link(actor(c, 1));
  }
  void unlink(const Command& c) {
    before(c);
    if (!has(Mistake::unlink_is_forgotten)) greenroom::unlink(actor(c, 1));
  }
  void monitor(const Command& c) {
    const MonitorRef ref = greenroom::monitor(actor(c, 1));
    world_.bind_monitor(c[2], ref);
    result(c, to_text(ref));
  }
  void monitor_name(const Command& c) {
    const Pid target = greenroom::whereis(c[1]).value_or(Pid{});
    const MonitorRef ref = greenroom::monitor(c[1]);
    world_.bind_monitor(c[2], ref);
    result(c, to_text(ref) + " of " + otp::to_text(target));
  }
  void demonitor(const Command& c) {
    const bool was_active = greenroom::demonitor(*world_.monitor(c[1]));
    result(c, to_text(was_active || has(Mistake::demonitor_forgets_its_down)));
  }
  void send(const Command& c) {
    before(c);
    greenroom::send(actor(c, 1), Text{greenroom::self(), c[2]});
  }
  void send_name(const Command& c) {
    try {
      greenroom::send(c[1], Text{greenroom::self(), c[2]});
      result(c, "ok");
    } catch (const greenroom::NoSuchName&) {
      result(c, "badarg");
    }
  }
  void exit(const Command& c) {
    before(c);
    const bool is_wrong = has(Mistake::kill_can_be_trapped) && c[2] == "kill";
    greenroom::exit(actor(c, 1), is_wrong ? greenroom::Reason::killed : reason_of(c[2]));
  }
  void stop(const Command& c) {
    before(c);
    const bool is_wrong = has(Mistake::kill_of_self_is_killed) && c[1] == "kill";
    greenroom::stop(is_wrong ? greenroom::Reason::killed : reason_of(c[1]));
  }
  void throw_error(const Command& c) {
    before(c);
    throw std::runtime_error("a body's exception");
  }
  void end_body(const Command& c) {
    before(c);
    if (has(Mistake::normal_end_is_an_error)) greenroom::stop(greenroom::Reason::shutdown);
    throw Return();
  }

  greenroom::SpawnOptions options() const { return {.place = world_.place()}; }
  // The body of a new actor, and what follows when it has a pid.
  auto child(const Command& c, std::size_t body) const {
    return [world = &world_, name = c[1],
            first = c.size() > body ? world_.program().bodies.at(c[body]) : Commands()] {
      world->bind_actor(number_of(name), greenroom::self());
      interpret(*world, number_of(name), first);
    };
  }
  void spawned(const Command& c, Pid pid, const std::string& more = {}) {
    world_.bind_actor(number_of(c[1]), pid);
    result(c, otp::to_text(pid) + more);
  }
  void spawn(const Command& c) { spawned(c, greenroom::spawn(options(), child(c, 2))); }
  void spawn_link(const Command& c) { spawned(c, greenroom::spawn_link(options(), child(c, 2))); }
  void spawn_monitor(const Command& c) {
    const greenroom::Monitored child_ref = greenroom::spawn_monitor(options(), child(c, 3));
    world_.bind_monitor(c[2], child_ref.ref);
    spawned(c, child_ref.pid, " " + to_text(child_ref.ref));
  }

  void register_name(const Command& c) {
    // An Erlang process has one name at most, an actor may have several: not compared.
    for (const char* name : {"n0", "n1", "n2"}) {
      if (greenroom::whereis(name) == actor(c, 2)) return result(c, "has a name");
    }
    try {
      greenroom::register_name(c[1], actor(c, 2));
      result(c, "true");
    } catch (const greenroom::BadName&) {
      result(c, "badarg");
    }
  }
  void unregister_name(const Command& c) {
    try {
      if (!greenroom::whereis(c[1]) || !has(Mistake::name_outlives_unregister))
        greenroom::unregister_name(c[1]);
      result(c, "true");
    } catch (const greenroom::BadName&) {
      result(c, "badarg");
    }
  }
  void whereis(const Command& c) {
    result(c, otp::to_text(greenroom::whereis(c[1]).value_or(Pid{})));
  }
  void alive(const Command& c) { result(c, to_text(greenroom::is_alive(actor(c, 1)))); }

  void take(const Command& c) {
    using greenroom::when;
    const Pid from = actor(c, 1);
    result(c, greenroom::receive(when([&](const Text& message) { return message.from == from; },
                                      [](const Text& message) { return item(message); }),
                                 when([&](const Exit& message) { return message.from == from; },
                                      [](const Exit& message) { return item(message); }),
                                 greenroom::after(greenroom::Wait(std::chrono::seconds(0)),
                                                  [] { return std::string("nothing"); })));
  }
  void take_down(const Command& c) {
    const MonitorRef ref = *world_.monitor(c[1]);
    result(c, greenroom::receive(greenroom::when([&](const Down& down) { return down.ref == ref; },
                                                 [](const Down& down) { return item(down); }),
                                 greenroom::after(greenroom::Wait(std::chrono::seconds(0)),
                                                  [] { return std::string("nothing"); })));
  }
  // All there is, in the order in which it came.
  void flush(const Command& c) {
    std::vector<std::string> items;
    const auto add = [&](const auto& message) {
      items.push_back(item(message));
      return true;
    };
    while (greenroom::receive(
        [&](const Text& message) { return add(message); },
        [&](const Exit& message) { return add(message); },
        [&](const Down& down) {
          if (has(Mistake::monitor_sees_normal_error) && down.reason == greenroom::Reason::noproc)
            return add(Down{down.ref, down.pid, greenroom::Reason::normal});
          add(down);
          if (has(Mistake::exit_comes_after_down)) swap_last(items);
          return true;
        },
        [&](const Mark&) {
          items.emplace_back("|");
          return true;
        },
        greenroom::after(greenroom::Wait(std::chrono::seconds(0)), [] { return false; }))) {
    }
    std::string all;
    for (const std::string& one : items) all += (all.empty() ? "" : " ; ") + one;
    result(c, all.empty() ? "nothing" : all);
  }
  static void swap_last(std::vector<std::string>& items) {
    if (items.size() < 2) return;
    std::string& before_last = items[items.size() - 2];
    if (before_last.find(" EXIT ") != std::string::npos) std::swap(before_last, items.back());
  }

  World& world_;
  const int me_;
};

const std::unordered_map<std::string, Interpreter::Verb>& Interpreter::verbs() {
  static const std::unordered_map<std::string, Verb> verbs{
      {"trap", &Interpreter::trap},
      {"link", &Interpreter::link},
      {"unlink", &Interpreter::unlink},
      {"monitor", &Interpreter::monitor},
      {"monitor_name", &Interpreter::monitor_name},
      {"demonitor", &Interpreter::demonitor},
      {"send", &Interpreter::send},
      {"send_name", &Interpreter::send_name},
      {"exit", &Interpreter::exit},
      {"stop", &Interpreter::stop},
      {"throw", &Interpreter::throw_error},
      {"return", &Interpreter::end_body},
      {"spawn", &Interpreter::spawn},
      {"spawn_link", &Interpreter::spawn_link},
      {"spawn_monitor", &Interpreter::spawn_monitor},
      {"register", &Interpreter::register_name},
      {"unregister", &Interpreter::unregister_name},
      {"whereis", &Interpreter::whereis},
      {"alive", &Interpreter::alive},
      {"take", &Interpreter::take},
      {"take_down", &Interpreter::take_down},
      {"flush", &Interpreter::flush},
  };
  return verbs;
}

}  // namespace

void interpret(World& world, int me, const Commands& first) {
  Interpreter interpreter(world, me);
  try {
    interpreter.run(first);
    for (;;) {
      const Work work = greenroom::receive([](Work work) { return work; });
      interpreter.run(work.commands);
      greenroom::send(world.driver(), Done{me});
    }
  } catch (const Return&) {
  }
}

}  // namespace otp
