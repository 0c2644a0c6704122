#include "greenroom/examples/gevent/flags.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

constexpr double largest = 1e6;
constexpr double longest = 1e9;  // seconds

std::string to_text(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", number);
  return text;
}

}  // namespace

Flags::Flags(int argc, char** argv, double default_unit) {
  program_ = argc > 0 ? argv[0] : "";
  program_ = program_.substr(program_.rfind('/') + 1);
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--help") {
      is_help_wanted_ = true;
    } else if (word.substr(0, 2) != "--") {
      refuse("'" + std::string(word) + "' is no flag");
    } else if (const std::size_t equals = word.find('='); equals != word.npos) {
      given_.push_back(
          {std::string(word.substr(2, equals - 2)), std::string(word.substr(equals + 1))});
    } else if (i + 1 < argc) {
      given_.push_back({std::string(word.substr(2)), argv[++i]});
    } else {
      refuse(std::string(word) + " needs a value");
    }
  }
  unit_ = number("unit", default_unit, "seconds, the unit of all times");
  if (unit_ == 0) refuse("--unit must be more than 0");
}

int Flags::count(const std::string& name, int default_value, const std::string& help, int least) {
  const double value = number(name, default_value, help);
  if (value != std::floor(value)) refuse("--" + name + " must be a whole number");
  if (value < least) refuse("--" + name + " must be at least " + std::to_string(least));
  return static_cast<int>(value);
}

std::chrono::nanoseconds Flags::time(const std::string& name, double default_value,
                                     const std::string& help) {
  const double units = number(name, default_value, help + ", in units");
  const std::chrono::duration<double> seconds(std::min(units * unit_, longest));
  return std::chrono::duration_cast<std::chrono::nanoseconds>(seconds);
}

greenroom::Wait Flags::limit(const std::string& name, double default_value,
                             const std::string& help) {
  const std::chrono::nanoseconds limit = time(name, default_value, help + " (0: for ever)");
  return limit > limit.zero() ? greenroom::Wait(limit) : greenroom::Wait::forever();
}

// The last one given counts.
double Flags::number(const std::string& name, double default_value, const std::string& help) {
  help_ += "  --" + name + " N" + std::string(name.size() < 14 ? 14 - name.size() : 1, ' ') + help +
           "; default " + to_text(default_value) + "\n";
  double value = default_value;
  for (Given& given : given_) {
    if (given.name != name) continue;
    given.is_known = true;
    char* end = nullptr;
    value = std::strtod(given.value.c_str(), &end);
    if (given.value.empty() || *end != '\0' || !(value >= 0) || value > largest) {
      refuse("--" + name + ": '" + given.value + "' is not a number from 0 to " + to_text(largest));
      value = default_value;
    }
  }
  return value;
}

void Flags::check() const {
  if (is_help_wanted_) {
    std::printf("usage: %s [--FLAG N]...\n%s", program_.c_str(), help_.c_str());
    std::exit(0);
  }
  std::string mistake = mistake_;
  for (const Given& given : given_) {
    if (mistake.empty() && !given.is_known) mistake = "there is no flag --" + given.name;
  }
  if (mistake.empty()) return;
  std::fprintf(stderr, "%s: %s; --help lists the flags\n", program_.c_str(), mistake.c_str());
  std::exit(2);
}

void Flags::refuse(const std::string& why) {
  if (mistake_.empty()) mistake_ = why;
}
