// An actor that does what a program tells it.
#pragma once

#include <string>

#include "greenroom/actors/actors.h"
#include "greenroom/tests/otp/program.h"
#include "greenroom/tests/otp/world.h"

namespace otp {

// To an actor: do this. From it: done.
struct Work {
  Commands commands;
};
struct Done {
  int actor;
};
// A message of a program.
struct Text {
  greenroom::Pid from;
  std::string text;
};
// Put into every mailbox after a step.
struct Mark {};

std::string to_text(const greenroom::ExitReason& reason);
std::string to_text(greenroom::Pid pid);

// The body of an actor: first these commands, then what the driver sends.
void interpret(World& world, int me, const Commands& first);

}  // namespace otp
