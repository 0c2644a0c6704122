// Runs programs of the differential test on greenroom and prints their traces.
//
//   driver PROGRAMS TRACE [--hubs N] [--mistake NAME]
//   driver --slowdown          prints by how much this build is slower than others, as a number
//
// One command at a time, or one batch: between two steps all is quiet, so that nothing depends on
// the order of signals of different senders, which neither Erlang nor greenroom promises.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>

#include "greenroom/scheduler/system/sanitizers.h"
#include "greenroom/tests/otp/interpreter.h"

namespace otp {

namespace {

using greenroom::Down;
using greenroom::MonitorRef;
using greenroom::Pid;
using greenroom::ProcessInfo;

// To an observer, an actor that looks at the others of its hub, and back.
struct Look {
  std::vector<Pid> pids;
};
struct Seen {
  std::vector<ProcessInfo> infos;
};

void observe(Pid driver) {
  for (;;) {
    const Look look = greenroom::receive([](Look look) { return look; });
    Seen seen;
    for (const Pid pid : look.pids) seen.infos.push_back(greenroom::process_info(pid));
    greenroom::send(driver, std::move(seen));
  }
}

class Driver {
 public:
  Driver(const Program& program, greenroom::Placement place, Mistake mistake,
         const std::vector<Pid>& observers, std::ostream& trace)
      : program_(program),
        world_(program, greenroom::self(), place, mistake),
        observers_(observers),
        trace_(trace) {}

  void run() {
    trace_ << "program " << program_.seed << "\n";
    for (const int actor : program_.actors) start(actor);
    for (const std::vector<Batch>& step : program_.steps) {
      run_step(step);
      settle();
      print_step();
      for (const auto& [actor, info] : last_) {
        if (info.pid) greenroom::send(info.pid, Mark{});
      }
    }
    for (const auto& [actor, pid] : world_.actors()) greenroom::exit(pid, greenroom::Reason::kill);
    for (const auto& [actor, ref] : monitors_) await_end(actor);
    trace_ << "end\n" << std::flush;
  }

 private:
  void start(int actor) {
    const Pid pid = greenroom::spawn({.place = world_.place()},
                                     [world = &world_, actor] { interpret(*world, actor, {}); });
    world_.bind_actor(actor, pid);
    watch(actor, pid);
    trace_ << "p" << actor << " is " << to_text(pid) << "\n";
  }

  void watch(int actor, Pid pid) { monitors_[actor] = greenroom::monitor(pid); }

  void run_step(const std::vector<Batch>& step) {
    std::vector<int> working;
    for (const Batch& batch : step) {
      const std::optional<Pid> pid = world_.actor("p" + std::to_string(batch.actor));
      if (!pid || ended_.contains(batch.actor)) continue;
      greenroom::send(*pid, Work{batch.commands});
      working.push_back(batch.actor);
    }
    for (const int actor : working) await_done(actor);
  }

  // Until the actor has done its work, or is dead.
  void await_done(int actor) {
    if (ended_.contains(actor)) return;
    greenroom::receive(
        greenroom::when([&](const Done& done) { return done.actor == actor; }, [](const Done&) {}),
        greenroom::when([&](const Down& down) { return is_of(down, actor); },
                        [&](const Down& down) { end(actor, down); }));
  }

  void await_end(int actor) {
    if (ended_.contains(actor)) return;
    greenroom::receive(greenroom::when([&](const Down& down) { return is_of(down, actor); },
                                       [&](const Down& down) { end(actor, down); }));
  }

  void end(int actor, const Down& down) { ended_.insert_or_assign(actor, down.reason); }

  bool is_of(const Down& down, int actor) const { return down.ref == monitors_.at(actor); }

  // Until two looks in a row are the same and nobody is doing anything. A look is a message to
  // every hub and back, so what a hub sent to another before it was looked at has arrived; what
  // that causes is seen by the next look, as a change or as an actor at work.
  void settle() {
    std::map<int, std::string> before;
    for (std::map<int, std::string> now = look(); now != before || is_busy_; now = look())
      before = std::move(now);
    for (const auto& [actor, info] : last_) {
      if (!monitors_.contains(actor)) watch(actor, world_.actors().at(actor));
      if (!info.pid) await_end(actor);
    }
  }

  std::map<int, std::string> look() {
    std::map<int, std::string> states;
    is_busy_ = false;
    const std::map<int, Pid> actors = world_.actors();
    for (const Pid observer : observers_) {
      std::vector<int> seen;
      Look look;
      for (const auto& [actor, pid] : actors) {
        if (pid.hub != observer.hub) continue;
        seen.push_back(actor);
        look.pids.push_back(pid);
      }
      greenroom::send(observer, std::move(look));
      const Seen answer = greenroom::receive([](Seen answer) { return answer; });
      for (std::size_t i = 0; i < seen.size(); ++i) last_[seen[i]] = answer.infos[i];
    }
    for (const auto& [actor, info] : last_) {
      if (info.pid && info.state != "parked in receive") is_busy_ = true;
      states[actor] = describe(info, actors);
    }
    return states;
  }

  static std::string describe(const ProcessInfo& info, const std::map<int, Pid>& actors) {
    if (!info.pid) return "ended";
    std::ostringstream out;
    out << "links";
    for (const auto& [actor, pid] : actors) {
      if (std::find(info.links.begin(), info.links.end(), pid) != info.links.end())
        out << " p" << actor;
    }
    out << " of " << info.links.size() << ", monitors " << info.monitors.size() << ", traps "
        << (info.traps_exits ? "true" : "false") << ", mail " << info.mailbox_size;
    return out.str();
  }

  // What the actors did, what has changed, and who has which name.
  void print_step() {
    trace_ << "step\n";
    for (const std::string& line : world_.take_log()) trace_ << line << "\n";
    const std::map<int, Pid> actors = world_.actors();
    for (const auto& [actor, info] : last_) {
      std::string state = describe(info, actors);
      if (!info.pid) state += " " + to_text(ended_.at(actor));
      if (printed_[actor] == state) continue;
      trace_ << "= p" << actor << " " << state << "\n";
      printed_[actor] = state;
    }
    for (const char* name : {"n0", "n1", "n2"}) {
      const std::string owner = to_text(greenroom::whereis(name).value_or(Pid{}));
      std::string& known = names_[name];
      if (owner != known) trace_ << "= " << name << " " << owner << "\n";
      known = owner;
    }
  }

  const Program& program_;
  World world_;
  const std::vector<Pid>& observers_;
  std::ostream& trace_;
  std::map<int, MonitorRef> monitors_;
  std::map<int, greenroom::ExitReason> ended_;
  std::map<int, ProcessInfo> last_;
  std::map<int, std::string> printed_;
  std::map<std::string, std::string> names_{{"n0", "nobody"}, {"n1", "nobody"}, {"n2", "nobody"}};
  bool is_busy_ = false;  // some actor in the last look
};

// Of the sanitizers.
#if defined(GREENROOM_ASAN) || defined(GREENROOM_TSAN)
constexpr int slowdown = 10;
#else
constexpr int slowdown = 1;
#endif

int run_all(const std::vector<std::string>& arguments) {
  if (arguments.at(0) == "--slowdown") return std::printf("%d\n", slowdown) > 0 ? 0 : 1;
  int hubs = 1;
  Mistake mistake = Mistake::none;
  for (std::size_t i = 2; i + 1 < arguments.size(); i += 2) {
    if (arguments[i] == "--hubs") hubs = std::stoi(arguments[i + 1]);
    if (arguments[i] == "--mistake") mistake = mistake_of(arguments[i + 1]);
  }
  std::ifstream in(arguments.at(0));
  const std::vector<Program> programs = read_programs(in);
  std::ofstream trace(arguments.at(1));
  greenroom::set_crash_logger([](const greenroom::CrashReport&) {});
  const auto place = hubs > 1 ? greenroom::Placement::next_hub : greenroom::Placement::here;
  return greenroom::run({.hubs = hubs}, [&] {
    std::vector<Pid> observers;
    observers.reserve(static_cast<std::size_t>(hubs));
    for (int i = 0; i < hubs; ++i)
      observers.push_back(greenroom::spawn({.place = place}, observe, greenroom::self()));
    for (const Program& program : programs) Driver(program, place, mistake, observers, trace).run();
    for (const Pid observer : observers) greenroom::exit(observer, greenroom::Reason::shutdown);
  });
}

}  // namespace

}  // namespace otp

int main(int argc, char** argv) {
  try {
    return otp::run_all(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "driver: %s\n", error.what());
    return 1;
  }
}
