#include "greenroom/actors/crash_report.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "greenroom/actors/actor_hub.h"
#include "greenroom/scheduler/dump.h"

namespace greenroom {

namespace {

using Logger = std::function<void(const CrashReport&)>;

struct TokenBucket {
  std::int64_t refilled_at = 0;
  double tokens = 100;
  std::size_t left_out = 0;
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

// True if one more may be made now; `left_out` is how many were not since the last one.
bool admit(TokenBucket& bucket, std::size_t& left_out) {
  const std::int64_t now = detail::now_nanoseconds();
  const std::lock_guard lock(logging().mutex);
  if (now > bucket.refilled_at) {
    const auto passed = static_cast<double>(now - bucket.refilled_at);
    bucket.tokens = std::min(burst, bucket.tokens + passed * reports_per_nanosecond);
  }
  bucket.refilled_at = now;
  if (bucket.tokens < 1) {
    ++bucket.left_out;
    return false;
  }
  bucket.tokens -= 1;
  left_out = std::exchange(bucket.left_out, 0);
  return true;
}

std::string note_of(std::size_t left_out, const char* what) {
  if (left_out == 0) return {};
  return "greenroom: " + std::to_string(left_out) + " " + what + " were left out\n";
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
      if (link.is_active && report.links.size() < 100) report.links.push_back(peer);
    });
  }
  return report;
}

}  // namespace

std::string CrashReport::to_text() const {
  std::string text = note_of(left_out, "reports");
  text += "greenroom: " + description + " ended: " + reason.to_string() + "\n" + reason.stack();
  if (parent) text += "  spawned by " + parent.to_string() + "\n";
  if (mailbox_size > 0) {
    text += "  mailbox: " + std::to_string(mailbox_size) + " messages";
    for (const auto& [type, count] : mailbox_types)
      text += ", " + std::to_string(count) + " " + type;
    text += "\n";
  }
  if (!links.empty()) {
    text += "  links:";
    for (const Pid& peer : links) text += " " + peer.to_string();
    text += "\n";
  }
  return text;
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
    std::fputs(report.to_text().c_str(), stderr);
  } catch (...) {
    std::fputs("greenroom: a crash could not be reported\n", stderr);
  }
}

void log_line(const std::string& line) noexcept {
  try {
    std::size_t left_out = 0;
    if (!admit(logging().lines, left_out)) return;
    std::fputs((note_of(left_out, "lines") + "greenroom: " + line + "\n").c_str(), stderr);
  } catch (...) {
  }
}

}  // namespace detail
}  // namespace greenroom
