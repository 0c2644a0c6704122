// What the tests of run() share.
#pragma once

#include <functional>
#include <string>

#include "greenroom/actors/actors.h"

namespace greenroom::probe {

struct Go {};

// Writes its name down when it is told to end.
struct Noted {
  static constexpr bool trap_exits = true;
  Noted(
      std::string* text, char letter, std::function<void()> started = [] {})
      : order(text), name(letter) {
    started();
  }
  void handle(Go) {}
  void terminate(const ExitReason&) { *order += name; }
  std::string* order;
  char name;
};

}  // namespace greenroom::probe
