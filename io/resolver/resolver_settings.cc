#include "greenroom/io/resolver/resolver_settings.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace greenroom::detail {

namespace {

constexpr const char* resolv_conf = "/etc/resolv.conf";
// As resolv.conf(5): RES_TIMEOUT, RES_DFLRETRY and their limits.
constexpr int preset_timeout = 5;
constexpr int preset_attempts = 2;
constexpr int longest_timeout = 30;
constexpr int most_attempts = 5;

// Every hub looks here: names mean the same in a whole process.
struct Configured {
  std::mutex mutex;
  dns::Options options;
  std::atomic<std::uint64_t> count{0};
};

Configured& configured() {
  static auto* configured = new Configured;  // used until the last thread has ended
  return *configured;
}

struct Attempts {
  int timeout = preset_timeout;  // seconds
  int count = preset_attempts;
};

void read_number(std::string_view option, std::string_view name, int limit, int& number) {
  if (option.substr(0, name.size()) != name) return;
  int value = 0;
  const char* end = option.data() + option.size();
  const auto [rest, error] = std::from_chars(option.data() + name.size(), end, value);
  if (error == std::errc() && rest == end && value > 0) number = std::min(value, limit);
}

void read_options(std::istream& words, Attempts& attempts) {
  for (std::string option; words >> option;) {
    read_number(option, "timeout:", longest_timeout, attempts.timeout);
    read_number(option, "attempts:", most_attempts, attempts.count);
  }
}

// c-ares 1.18 reads all but these two by itself.
Attempts system_attempts() {
  Attempts attempts;
  std::ifstream file(resolv_conf);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string keyword;
    if (words >> keyword && keyword == "options") read_options(words, attempts);
  }
  if (const char* more = std::getenv("RES_OPTIONS")) {
    std::istringstream words(more);
    read_options(words, attempts);
  }
  return attempts;
}

}  // namespace

ResolverKind to_resolver_kind(const char* text) {
  const std::string_view kind = text ? text : "";
  if (kind.empty() || kind == "ares") return ResolverKind::ares;
  if (kind == "thread") return ResolverKind::thread;
  throw std::invalid_argument("greenroom: GREENROOM_RESOLVER is '" + std::string(kind) +
                              "'; set it to ares or thread, or unset it");
}

ResolverKind resolver_kind() {
  static const ResolverKind kind = to_resolver_kind(std::getenv("GREENROOM_RESOLVER"));
  return kind;
}

SettingsVersion settings_version() noexcept {
  SettingsVersion version{.configured = configured().count.load()};
  struct stat file {};
  if (::stat(resolv_conf, &file) == 0) {
    version.device = file.st_dev;
    version.inode = file.st_ino;
    version.size = file.st_size;
    version.modified = file.st_mtim.tv_sec * 1'000'000'000 + file.st_mtim.tv_nsec;
  }
  return version;
}

void set_dns_options(dns::Options options) {
  Configured& shared = configured();
  const std::lock_guard lock(shared.mutex);
  shared.options = std::move(options);
  ++shared.count;
}

dns::Options dns_options() {
  dns::Options options;
  {
    Configured& shared = configured();
    const std::lock_guard lock(shared.mutex);
    options = shared.options;
  }
  if (options.timeout.count() == 0 || options.attempts == 0) {
    const Attempts system = system_attempts();
    if (options.timeout.count() == 0) options.timeout = std::chrono::seconds(system.timeout);
    if (options.attempts == 0) options.attempts = system.count;
  }
  return options;
}

}  // namespace greenroom::detail
