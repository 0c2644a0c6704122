// A program in a workspace of its own: all that greenroom needs from it is in WORKSPACE and BUILD.
#include <iostream>
#include <string>

#include "greenroom/actors/actors.h"

using namespace std::chrono_literals;

struct Greet {
  greenroom::Pid from;
  std::string name;
};

struct Greeting {
  std::string text;
};

void greeter() {
  greenroom::receive([](Greet greet) {
    greenroom::send(greet.from, Greeting{"Good evening, " + greet.name + "."});
  });
}

int main() {
  return greenroom::run([] {
    greenroom::Pid pid = greenroom::spawn(greeter);
    greenroom::send(pid, Greet{greenroom::self(), "Miss Prism"});
    return greenroom::receive(
        [](Greeting greeting) {
          std::cout << greeting.text << '\n';
          return 0;
        },
        greenroom::after(5s, [] { return 1; }));
  });
}
