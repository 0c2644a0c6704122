// Crash reports: what is told about an actor that ended by a failure.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "greenroom/actors/values/exit_reason.h"
#include "greenroom/actors/values/pid.h"

namespace greenroom {

struct CrashReport {
  Pid pid;
  std::string description;  // "actor <0.12.3> 'name' Room"
  std::vector<std::string> names;
  Pid parent;                          // who spawned it
  ExitReason reason = Reason::normal;  // stack() is the stack at the throw
  std::size_t mailbox_size = 0;
  std::map<std::string, std::size_t> mailbox_types;  // of the first 1000 messages
  std::vector<Pid> links;
  std::size_t left_out = 0;  // reports before this one, in a storm

  // Several lines for people.
  std::string to_text() const;
  // One line for machines.
  std::string to_json() const;
};

// Called on the dying actor's hub; must not block and must not throw. Replaces the default, which
// writes to_text() to stderr, with the stack looked up on a thread of its own. An empty one
// restores the default. Any thread, takes effect for later reports.
//
// Under a storm only some reports are made: 100 at once, then 20 a second; the next one tells how
// many were left out. The number of the last ones left out is written to stderr: when the storm is
// over, or, if there is a logger, at the end of run() and of the process.
//
// A logger that asks for to_text(), to_json() or reason.stack() has the stack looked up on the hub
// (ExitReason::stack). A copy of the report may be asked on any thread.
void set_crash_logger(std::function<void(const CrashReport&)> logger);

namespace detail {

struct Actor;
void report_crash(const Actor& actor, const ExitReason& reason) noexcept;
// A line that is no crash: to stderr, in order with the reports, under a limit of its own of the
// same size.
void log_line(const std::string& line) noexcept;

// Tells of reports and lines that were left out and are not told of yet. Any thread.
void tell_left_out() noexcept;
// Stops the thread until all is told, at most for some seconds.
void finish_crash_reports() noexcept;

}  // namespace detail
}  // namespace greenroom
