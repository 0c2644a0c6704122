// The command lines of these programs: every flag is a number with a default.
//
//   Flags flags(argc, argv);
//   const int workers = flags.count("workers", 3, "how many take tasks");
//   const Wait timeout = flags.limit("timeout", 1, "how long one waits for a task");
//   flags.check();
//
// A program asks for all its flags before it calls check(), which then knows them all.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "greenroom/scheduler/time/time.h"

class Flags {
 public:
  // "--name value" and "--name=value". `default_unit` is that of --unit, which every program has:
  // the seconds that its times are multiples of.
  Flags(int argc, char** argv, double default_unit);

  // A whole number, at least `least`.
  int count(const std::string& name, int default_value, const std::string& help, int least = 0);
  // A number of units, 0 or more, with a fraction if need be; returned as a time.
  std::chrono::nanoseconds time(const std::string& name, double default_value,
                                const std::string& help);
  // A time as a limit of a wait; 0 means none.
  greenroom::Wait limit(const std::string& name, double default_value, const std::string& help);

  // Ends the program if that was asked for or must be: --help lists the flags (status 0); a flag
  // that nobody asked for, or a value that is none, is told on stderr (status 2).
  void check() const;

 private:
  struct Given {
    std::string name;
    std::string value;
    bool is_known = false;
  };

  double number(const std::string& name, double default_value, const std::string& help);
  void refuse(const std::string& why);

  std::string program_;
  std::vector<Given> given_;
  std::string help_;
  std::string mistake_;  // the first one; empty: none
  bool is_help_wanted_ = false;
  double unit_ = 1;
};
