// A chat room, written against nothing but the public headers.
// The POSIX headers come first on purpose: none of their names may be in the way of ours.
#include <signal.h>  // NOLINT(modernize-deprecated-headers): it is what programs include
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <future>
#include <map>
#include <optional>
#include <string>

#include "greenroom/actors/actors.h"
#include "greenroom/io/tcp.h"

using namespace greenroom;
using namespace std::chrono_literals;
struct Room {  // chat: a room, a connection, the tree
  struct Join {
    Pid who;
    std::string nick;
  };
  struct Say {
    Pid who;
    std::string text;
  };
  std::map<Pid, std::string> members;
  std::deque<std::string> last;
  std::deque<std::string> handle(const Join& join) {
    monitor(join.who);
    members[join.who] = join.nick;
    return last;
  }
  void handle(const Say& say) {
    last.push_back(members.at(say.who) + ": " + say.text);
    if (last.size() > 25) last.pop_front();
    for (const auto& [pid, nick] : members) send(pid, tcp::Line{last.back()});
  }
  void handle(const Down& down) { members.erase(down.pid); }
};

void connection(tcp::Stream stream) {
  const ServerName<Room> room{"lobby"};
  tcp::Lines lines{stream};
  auto enter = [&] {
    for (const std::string& line : call(room.waiting(), Room::Join{self(), "guest"}))
      stream.write_all(line + "\n", 5s);
    return monitor("lobby");
  };
  MonitorRef watch = enter();
  while (receive(
      next_line(lines,
                [&](std::optional<std::string> line) {
                  if (line) cast(room, Room::Say{self(), *line});
                  return line.has_value();
                }),
      [&](const tcp::Line& line) {
        stream.write_all(line.text + "\n", 5s);
        return true;
      },
      when([&](const Down& down) { return down.ref == watch; },
           [&](const Down&) {
             watch = enter();
             return true;
           }))) {
  }
}

int main() {
  return run(supervisor(
      {.strategy = Strategy::rest_for_one,
       .children = {child<Room>({.id = "lobby"}),
                    dynamic_supervisor({.id = "connections", .max_children = 10000}),
                    tcp::serve({.id = "acceptor"},
                               {.listen = {"127.0.0.1", 5000}, .connections = "connections"},
                               connection)}}));
}
