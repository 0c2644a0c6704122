// Programs of the differential test, as text: read once, then only looked at, by any thread.
//
//   program 17
//   actors p0 p1 p2                                 started by the driver
//   body b0 : trap on ; send p0 m3 ; throw          what a spawned actor does first
//   step p0 : link p1 ; send p1 m5 & p2 : whereis n0   batches of one step run at the same time
//   end
#pragma once

#include <istream>
#include <map>
#include <string>
#include <vector>

namespace otp {

// A verb and its arguments: {"link", "p1"}.
using Command = std::vector<std::string>;
using Commands = std::vector<Command>;

struct Batch {
  int actor = 0;
  Commands commands = {};
};

struct Program {
  std::string seed = {};
  std::vector<int> actors = {};
  std::map<std::string, Commands> bodies = {};
  std::vector<std::vector<Batch>> steps = {};
};

// The number in "p12", "r7".
int number_of(const std::string& variable);

// Throws std::runtime_error with the line that is not understood.
std::vector<Program> read_programs(std::istream& in);

}  // namespace otp
