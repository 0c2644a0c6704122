// A room: a server that knows who is in it and what was said last.
#pragma once

#include <deque>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/examples/chat/directory.h"
#include "greenroom/io/tcp.h"

namespace chat {

class Room {
 public:
  // Joining answers with the last lines, or with why not.
  struct Join {
    greenroom::Pid who;
    std::string nick;
    bool is_again = false;  // after a restart: nobody is told
  };
  struct Joined {
    bool is_in = false;
    greenroom::Pid room;
    std::vector<std::string> last;
  };
  struct Leave {
    greenroom::Pid who;
  };
  // The answer: whether a member has said it.
  struct Say {
    greenroom::Pid who;
    std::string text;
  };
  struct Who {};
  struct Members {
    greenroom::Pid room;
    std::vector<std::string> nicks;
  };
  struct Crash {};

  explicit Room(std::string name) : name_(std::move(name)) {
    greenroom::cast(greenroom::ServerName<Directory>("directory"), Directory::Opened{name_});
  }

  Joined handle(const Join& join) {
    for (const auto& [pid, member] : members_) {
      if (member.nick == join.nick && pid != join.who) return {};
    }
    Joined answer{true, greenroom::self(), {last_.begin(), last_.end()}};
    if (members_.count(join.who) == 0)
      members_[join.who] = {join.nick, greenroom::monitor(join.who)};
    if (!join.is_again) tell("* " + name_ + " joined " + join.nick);
    return answer;
  }
  void handle(const Leave& leave) { remove(leave.who); }
  void handle(const greenroom::Down& down) { remove(down.pid); }

  bool handle(const Say& say) {
    const auto member = members_.find(say.who);
    if (member == members_.end()) return false;
    last_.push_back(name_ + " " + member->second.nick + ": " + say.text);
    if (last_.size() > kept_lines) last_.pop_front();
    tell(last_.back());
    return true;
  }

  Members handle(const Who&) {
    Members answer{greenroom::self(), {}};
    for (const auto& [pid, member] : members_) answer.nicks.push_back(member.nick);
    return answer;
  }

  void handle(const Crash&) { throw std::runtime_error("room " + name_ + " was told to crash"); }

 private:
  static constexpr std::size_t kept_lines = 25;
  struct Member {
    std::string nick;
    greenroom::MonitorRef watch;
  };

  void tell(const std::string& line) {
    for (const auto& [pid, member] : members_) greenroom::send(pid, greenroom::tcp::Line{line});
  }
  void remove(greenroom::Pid who) {
    const auto member = members_.find(who);
    if (member == members_.end()) return;
    const std::string nick = member->second.nick;
    greenroom::demonitor(member->second.watch);
    tell("* " + name_ + " left " + nick);
    members_.erase(member);
  }

  std::string name_;
  std::map<greenroom::Pid, Member> members_;
  std::deque<std::string> last_;
};

}  // namespace chat
