// The chat on loopback, with a scripted conversation of three clients: a room crashes in the middle
// of it and goes on.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "greenroom/examples/chat/chat.h"
#include "greenroom/examples/chat/options.h"

namespace {

using namespace greenroom;
using namespace std::chrono_literals;

// A client of the script. What it sends and what it reads is printed.
class Guest {
 public:
  Guest(std::string name, const tcp::Endpoint& server)
      : name_(std::move(name)), stream_(tcp::connect(server, 5s)), lines_(stream_) {}

  void say(const std::string& line) {
    std::printf("%-5s > %s\n", name_.c_str(), line.c_str());
    stream_.write_all(line + "\n", 5s);
  }
  // The next line, which must begin like that.
  std::string hear(const std::string& expected) {
    const std::optional<std::string> line = lines_.next(5s);
    if (!line)
      throw std::runtime_error(name_ + " was disconnected, and should have heard: " + expected);
    std::printf("%-5s < %s\n", name_.c_str(), line->c_str());
    if (line->compare(0, expected.size(), expected) != 0) {
      throw std::runtime_error(name_ + " should have heard: " + expected);
    }
    return *line;
  }
  void hear_the_end() {
    if (const auto line = lines_.next(5s))
      throw std::runtime_error(name_ + " should have been disconnected, and heard: " + *line);
    std::printf("%-5s   (disconnected)\n", name_.c_str());
  }

 private:
  std::string name_;
  tcp::Stream stream_;
  tcp::Lines lines_;
};

// The pid in "* lobby who <0.5.1> ann ..." or "* lobby restarted <0.7.1>".
std::string pid_in(const std::string& line) {
  return line.substr(line.find('<'), line.find('>') - line.find('<') + 1);
}

void conversation(const tcp::Endpoint& server) {
  Guest ann("ann", server);
  ann.say("/nick ann");
  ann.say("/join lobby");
  ann.hear("* lobby joined ann");
  ann.say("Is anybody here?");
  ann.hear("lobby ann: Is anybody here?");

  Guest bob("bob", server);
  bob.say("/nick bob");
  bob.say("/join lobby");
  bob.hear("lobby ann: Is anybody here?");
  bob.hear("* lobby joined bob");
  ann.hear("* lobby joined bob");
  bob.say("I am.");
  bob.hear("lobby bob: I am.");
  ann.hear("lobby bob: I am.");

  Guest cleo("cleo", server);
  cleo.say("/nick ann");
  cleo.say("/join lobby");
  cleo.hear("! the nick ann is taken in lobby");
  cleo.say("/nick cleo");
  cleo.say("/join lobby");
  cleo.hear("lobby ann: Is anybody here?");
  cleo.hear("lobby bob: I am.");
  for (Guest* guest : {&ann, &bob, &cleo}) guest->hear("* lobby joined cleo");

  cleo.say("/who");
  const std::string before = pid_in(cleo.hear("* lobby who <"));
  std::printf("--- the room is %s; cleo crashes it\n", before.c_str());
  cleo.say("/crash");
  std::string after;
  for (Guest* guest : {&ann, &bob, &cleo}) after = pid_in(guest->hear("* lobby restarted <"));
  std::printf("--- the room was %s and is %s; nobody was disconnected\n", before.c_str(),
              after.c_str());
  if (before == after) throw std::runtime_error("the room's pid is still the same");

  ann.say("What was that?");
  for (Guest* guest : {&ann, &bob, &cleo}) guest->hear("lobby ann: What was that?");
  bob.say("/stats");
  bob.hear("actors=");
  ann.say("/leave");
  for (Guest* guest : {&ann, &bob, &cleo}) guest->hear("* lobby left ann");
  ann.say("/quit");
  ann.hear_the_end();
}

int demo(std::uint16_t port) {
  auto where = std::make_shared<tcp::Endpoint>();
  start_supervisor(
      chat::tree({"127.0.0.1", port}, [where](const tcp::Endpoint& at) { *where = at; }));
  try {
    conversation(*where);
  } catch (const std::exception& error) {
    std::printf("--- otherwise than told: %s\n", error.what());
    return 1;
  }
  std::printf("--- all went as told\n");
  if (isatty(STDIN_FILENO) == 0) return 0;
  std::printf("--- the chat is up: nc 127.0.0.1 %d\n--- Ctrl-C ends it\n", int{where->port});
  std::fflush(stdout);
  receive([](Message&) {});
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const auto port = chat::parse_port(count, arguments, 0);
  if (!port) return 2;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return run([port] { return demo(*port); });
}
