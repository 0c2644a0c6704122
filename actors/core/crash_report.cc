#include "greenroom/actors/core/crash_report.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/scheduler/hub/report.h"
#include "greenroom/scheduler/system/signal_safe_text.h"
#include "greenroom/scheduler/task/describe.h"
#include "greenroom/scheduler/trace/report_writer.h"
#include "greenroom/scheduler/watch/dump.h"

namespace greenroom {

namespace {

using Logger = std::function<void(const CrashReport&)>;

struct TokenBucket {
  std::int64_t refilled_at = 0;
  double tokens = 100;
  std::atomic<std::size_t> left_out{0};  // under the mutex, but where the process ends by a signal
};

struct Logging {
  std::mutex mutex;
  std::shared_ptr<const Logger> logger;
  TokenBucket reports;
  TokenBucket lines;  // their own: a storm of reports must not hide why a supervisor gave up
};

Logging& logging() {
  static auto* logging = new Logging;
  return *logging;
}

constexpr double burst = 100;
constexpr double reports_per_nanosecond = 20e-9;

// The process in which some were left out: a forked child does not tell of its parent's.
constinit std::atomic<pid_t> leaving_out{0};

void tell_left_out_at_exit() {
  if (::getpid() == leaving_out) detail::tell_left_out();
}

// In a signal handler that ends the process.
void tell_left_out_at_abort() noexcept {
  if (::getpid() != leaving_out) return;
  const auto tell = [](TokenBucket& bucket, const char* what) {
    const std::size_t left_out = bucket.left_out.exchange(0);
    if (left_out == 0) return;
    detail::SignalSafeLine line;
    (line << "greenroom: ").add_number(left_out, 10) << " " << what << " were left out";
    line.write();
  };
  tell(logging().reports, "reports");
  tell(logging().lines, "lines");
}

// One was left out, the first since the last that was made. A logger gets the number with the next
// report; a simulation has no other thread.
void arrange_to_tell(bool has_logger) {
  static const bool is_registered = std::atexit(&tell_left_out_at_exit) == 0;
  static_cast<void>(is_registered);
  leaving_out = ::getpid();
  detail::call_at_finish(&tell_left_out_at_abort);
  const Hub* hub = Hub::current_if_any();
  const bool is_simulated = hub && hub->environment();
  if (!has_logger && !is_simulated) detail::call_when_quiet(&detail::tell_left_out);
}

// True if one more may be made now; `left_out` is how many were not since the last one.
bool admit(TokenBucket& bucket, std::size_t& left_out) {
  const std::int64_t now = detail::now_nanoseconds();
  std::unique_lock lock(logging().mutex);
  if (now > bucket.refilled_at) {
    const auto passed = static_cast<double>(now - bucket.refilled_at);
    bucket.tokens = std::min(burst, bucket.tokens + passed * reports_per_nanosecond);
  }
  bucket.refilled_at = now;
  if (bucket.tokens >= 1) {
    bucket.tokens -= 1;
    left_out = bucket.left_out.exchange(0);
    return true;
  }
  const bool is_first = bucket.left_out++ == 0;
  const bool has_logger = logging().logger != nullptr;
  lock.unlock();
  if (is_first) arrange_to_tell(has_logger && &bucket == &logging().reports);
  return false;
}

std::string note_of(std::size_t left_out, const char* what) {
  if (left_out == 0) return {};
  return "greenroom: " + std::to_string(left_out) + " " + what + " were left out\n";
}

std::string text_before_stack(const CrashReport& report) {
  return note_of(report.left_out, "reports") + "greenroom: " + report.description +
         " ended: " + report.reason.to_string() + "\n";
}

std::string text_after_stack(const CrashReport& report) {
  std::string text;
  if (report.parent) text += "  spawned by " + report.parent.to_string() + "\n";
  if (report.mailbox_size > 0) {
    text += "  mailbox: " + std::to_string(report.mailbox_size) + " messages";
    for (const auto& [type, count] : report.mailbox_types)
      text += ", " + std::to_string(count) + " " + type;
    text += "\n";
  }
  if (!report.links.empty()) {
    text += "  links:";
    for (const Pid& peer : report.links) text += " " + peer.to_string();
    text += "\n";
  }
  return text;
}

CrashReport make_report(const detail::Actor& actor, const ExitReason& reason) {
  constexpr std::size_t summarized = 1000;
  CrashReport report;
  report.pid = actor.pid();
  report.description = detail::describe(*actor.task);
  report.parent = actor.parent;
  report.reason = reason;
  report.mailbox_size = actor.mailbox.size();
  std::size_t seen = 0;
  actor.mailbox.for_each([&](const Message& message) {
    if (++seen <= summarized) ++report.mailbox_types[message.type_name()];
  });
  if (actor.extras) {
    report.names = actor.extras->names;
    actor.extras->links.for_each([&](const Pid& peer, const detail::LinkState& link) {
      if (link.is_active() && report.links.size() < 100) report.links.push_back(peer);
    });
  }
  return report;
}

}  // namespace

std::string CrashReport::to_text() const {
  return text_before_stack(*this) + reason.stack() + text_after_stack(*this);
}

std::string CrashReport::to_json() const {
  nlohmann::json json;
  json["pid"] = pid.to_string();
  json["actor"] = description;
  json["names"] = names;
  json["parent"] = parent.to_string();
  json["reason"] = reason.to_string();
  json["stack"] = reason.stack();
  json["mailbox"] = {{"size", mailbox_size}, {"types", mailbox_types}};
  if (left_out > 0) json["left_out"] = left_out;
  json["links"] = nlohmann::json::array();
  for (const Pid& peer : links) json["links"].push_back(peer.to_string());
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void set_crash_logger(std::function<void(const CrashReport&)> logger) {
  auto shared = logger ? std::make_shared<const Logger>(std::move(logger)) : nullptr;
  const std::lock_guard lock(logging().mutex);
  logging().logger.swap(shared);
}

namespace detail {

void report_crash(const Actor& actor, const ExitReason& reason) noexcept {
  try {
    std::size_t left_out = 0;
    if (!admit(logging().reports, left_out)) return;
    std::shared_ptr<const Logger> logger;
    {
      const std::lock_guard lock(logging().mutex);
      logger = logging().logger;
    }
    CrashReport report = make_report(actor, reason);
    report.left_out = left_out;
    if (logger) return (*logger)(report);
    write_report(text_before_stack(report), reason.trace(), text_after_stack(report));
  } catch (...) {
    write_in_order("greenroom: a crash could not be reported\n");
  }
}

void log_line(const std::string& line) noexcept {
  try {
    std::size_t left_out = 0;
    if (!admit(logging().lines, left_out)) return;
    write_in_order(note_of(left_out, "lines") + "greenroom: " + line + "\n");
  } catch (...) {
  }
}

void tell_left_out() noexcept {
  try {
    std::unique_lock lock(logging().mutex);
    const std::size_t reports = logging().reports.left_out.exchange(0);
    const std::size_t lines = logging().lines.left_out.exchange(0);
    lock.unlock();
    const std::string text = note_of(reports, "reports") + note_of(lines, "lines");
    if (!text.empty()) write_in_order(text);
  } catch (...) {
  }
}

void finish_crash_reports() noexcept {
  tell_left_out();
  wait_for_reports();
}

}  // namespace detail
}  // namespace greenroom
