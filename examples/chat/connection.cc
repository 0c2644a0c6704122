#include "greenroom/examples/chat/connection.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "greenroom/actors/actors.h"
#include "greenroom/examples/chat/directory.h"
#include "greenroom/examples/chat/room.h"

namespace chat {

namespace {

using namespace greenroom;
using namespace std::chrono_literals;

constexpr auto write_limit = 5s;
constexpr auto linger = 200ms;

bool is_name(const std::string& text) {
  return !text.empty() && text.size() <= 32 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

// What goes to other terminals: no control characters.
std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return text;
}

std::uint64_t descriptors() {
  std::error_code error;
  const std::filesystem::directory_iterator all("/proc/self/fd", error);
  if (!error)  // but for the one of the directory itself
    return static_cast<std::uint64_t>(std::distance(begin(all), end(all))) - 1;
  rlimit limit{};  // none is left
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

std::string stats() {
  const int restarts = call(ServerName<Directory>("directory"), Directory::Restarts{});
  return "actors=" + std::to_string(processes().size()) + " fds=" + std::to_string(descriptors()) +
         " restarts=" + std::to_string(restarts);
}

class Client {
 public:
  explicit Client(tcp::Stream& stream)
      : stream_(stream),
        nick_("guest" + std::to_string(self().index()) + "_" + std::to_string(self().serial())) {}

  void write(const std::string& line) { stream_.write_all(line + "\n", write_limit); }
  bool is_watched(const Down& down) const { return room_ && down.ref == watch_; }

  // False: the client is done.
  bool obey(const std::string& line) {
    if (line.empty()) return true;
    if (line[0] != '/') return say(line), true;
    const std::size_t space = line.find(' ');
    const std::string verb = line.substr(0, space);
    const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
    if (verb == "/quit") return false;
    if (verb == "/nick") {
      rename(rest);
    } else if (verb == "/join") {
      join(rest);
    } else if (verb == "/stats") {
      write(stats());
    } else if (verb == "/leave" || verb == "/who" || verb == "/crash") {
      in_room(verb);
    } else {
      write("! no such command: " + printable(verb));
    }
    return true;
  }

  // The room has crashed: its next incarnation gets this member back.
  void rejoin() {
    const Room::Joined joined = enter(true);
    if (!joined.is_in) {
      room_.reset();
      return write("! your nick was taken while the room restarted");
    }
    write("* " + *room_ + " restarted " + room_pid_.to_string());
  }

 private:
  ServerName<Room> server() const { return ServerName<Room>(room_id(*room_)); }

  // If the room crashes before it has heard it, its successor does.
  void say(const std::string& text) {
    if (!room_) return write("! join a room first: /join R");
    while (room_) {
      const auto heard = try_call(server(), Room::Say{self(), printable(text)});
      if (heard && *heard) return;
      if (!heard && heard.reason() == Reason::timeout) throw CallError(heard.reason());
      await_restart();
    }
  }

  void rename(const std::string& nick) {
    if (!is_name(nick)) return write("! a nick is 1 to 32 visible characters");
    const std::optional<std::string> room = room_;
    leave();
    const std::string old = std::exchange(nick_, nick);
    if (!room || join(*room)) return;
    nick_ = old;
    join(*room);
  }

  bool join(const std::string& room) {
    if (!is_name(room)) return write("! a room's name is 1 to 32 visible characters"), false;
    if (room_ == room) return write("! you are in " + room), true;
    call(ServerName<Directory>("directory"), Directory::Open{room});
    leave();
    room_ = room;
    const Room::Joined joined = enter(false);
    if (!joined.is_in) {
      room_.reset();
      return write("! the nick " + nick_ + " is taken in " + room), false;
    }
    for (const std::string& line : joined.last) write(line);
    return true;
  }

  // Tries again while the room restarts.
  Room::Joined enter(bool is_again) {
    for (;;) {
      const auto joined = try_call(server().waiting(), Room::Join{self(), nick_, is_again});
      if (!joined && joined.reason() == Reason::timeout) throw CallError(joined.reason());
      if (!joined) continue;
      if (joined->is_in) {
        room_pid_ = joined->room;
        watch_ = monitor(room_pid_);
      }
      return *joined;
    }
  }

  void leave() {
    if (!room_) return;
    demonitor(watch_);
    cast(server(), Room::Leave{self()});
    room_.reset();
  }

  // Not more often than restarts are meant to come.
  void crash() {
    sleep(crashed_at_ + 10ms - greenroom::clock::now());
    crashed_at_ = greenroom::clock::now();
    cast(server(), Room::Crash{});
    await_restart();  // what is said next is for its successor
  }

  void await_restart() {
    receive(when([&](const Down& down) { return down.ref == watch_; }, [](const Down&) {}));
    rejoin();
  }

  void in_room(const std::string& verb) {
    if (!room_) return write("! you are in no room");
    if (verb == "/crash") return crash();
    if (verb == "/leave") return leave();
    const auto who = try_call(server().waiting(), Room::Who{});
    if (!who) return write("! " + who.reason().to_string());
    std::string line = "* " + *room_ + " who " + who->room.to_string();
    for (const std::string& nick : who->nicks) line += " " + nick;
    write(line);
  }

  tcp::Stream& stream_;
  std::string nick_;
  std::optional<std::string> room_;
  Pid room_pid_;
  greenroom::clock::time_point crashed_at_;
  MonitorRef watch_;
};

// The client reads all that was written and then the end: a socket that is closed with input unread
// is reset instead. So what still comes is read until the client has ended too, for a moment.
void end_of_stream(tcp::Stream& stream) {
  const Uncancellable for_a_moment;
  try {
    stream.shutdown_write();
    std::array<std::byte, 16384> unread;
    const auto until = greenroom::clock::now() + linger;
    while (stream.read_some(unread, until) > 0) {
    }
  } catch (const IoError&) {  // the client was faster, or slower
  }
}

}  // namespace

void connection(tcp::Stream stream) {
  stream.set_write_limit(write_limit);
  tcp::Lines lines(stream);
  Client client(stream);
  try {
    bool goes_on = true;
    while (goes_on) {
      goes_on = receive(
          next_line(lines,
                    [&](std::optional<std::string> line) { return line && client.obey(*line); }),
          [&](const tcp::Line& line) { return client.write(line.text), true; },
          when([&](const Down& down) { return client.is_watched(down); },
               [&](const Down&) { return client.rejoin(), true; }),
          [](const Down&) { return true; });
    }
  } catch (const IoError& error) {
    // The client is gone, does not read, or sent a line that is too long: that is no failure of
    // ours.
    if (error.code() != std::errc::message_size) return;
    try {
      stream.write_all("! line too long\n", 100ms);
    } catch (const IoError&) {  // gone by now
      return;
    }
    end_of_stream(stream);
  } catch (...) {  // told to end
    end_of_stream(stream);
    throw;
  }
}

}  // namespace chat
