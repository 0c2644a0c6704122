#include "greenroom/tests/perf/measure.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>

namespace greenroom::perf {

namespace {

constexpr double nanoseconds_per_second = 1e9;

// Before the first hub: a baseline that keeps its thread to itself is no stall to tell of.
const int stalls_are_not_told_of = setenv("GREENROOM_STALL_MS", "0", 0);

std::int64_t wall_clock() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

// How long this thread was ready to run and did not; 0 where the kernel does not tell.
std::int64_t time_in_run_queue() {
  std::ifstream statistics("/proc/thread-self/schedstat");
  std::int64_t running = 0;
  std::int64_t waiting = 0;
  statistics >> running >> waiting;
  return waiting;
}

class Series {
 public:
  void add(double value) { values_.push_back(value); }
  double min() const { return *std::min_element(values_.begin(), values_.end()); }
  double median() const {
    std::vector<double> sorted = values_;
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    return *middle;
  }

 private:
  std::vector<double> values_;
};

const char* verdict(double median, double min, double goal) {
  if (median <= goal) return "met";
  return min <= goal ? "unclear" : "MISSED";
}

std::string format(const char* pattern, double value) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), pattern, value);
  return buffer.data();
}

std::string nanoseconds_to_text(double nanoseconds) {
  if (nanoseconds >= 1e5) return format("%.2f ms", nanoseconds / 1e6);
  return format(nanoseconds < 1000 ? "%.1f ns" : "%.0f ns", nanoseconds);
}

std::string figure_to_text(Unit unit, double nanoseconds) {
  if (unit == Unit::nanoseconds) return nanoseconds_to_text(nanoseconds);
  return format("%.2f M/s", nanoseconds_per_second / nanoseconds / 1e6);
}

struct Measured {
  Series ours;
  Series baseline;
  Series ratio;
};

bool is_met(const Line& line, const Measured& measured) {
  if (line.goal > 0 && measured.ours.median() > line.goal) return false;
  return line.goal_ratio == 0 || measured.ratio.median() <= line.goal_ratio;
}

void print(const Line& line, const Measured& measured, bool has_baseline) {
  const double median = measured.ours.median();
  const double min = measured.ours.min();
  std::string text = line.name + ": " + figure_to_text(line.unit, median);
  if (line.unit == Unit::per_second) text += " = " + nanoseconds_to_text(median);
  text += " (min " + nanoseconds_to_text(min);
  if (has_baseline) {
    text += "; " + line.baseline + " " + nanoseconds_to_text(measured.baseline.median());
    text += format(", %.3gx", measured.ratio.median());
  }
  if (line.goal > 0) {
    text += line.unit == Unit::nanoseconds ? "; goal <= " : "; goal >= ";
    text += figure_to_text(line.unit, line.goal) + ": " + verdict(median, min, line.goal);
    if (line.baseline_is_floor && measured.baseline.min() > line.goal)
      text += ", and out of reach here: the baseline alone takes longer";
  }
  if (line.goal_ratio > 0) {
    text += format("; goal <= %.3gx: ", line.goal_ratio);
    text += verdict(measured.ratio.median(), measured.ratio.min(), line.goal_ratio);
  }
  std::printf("%s)\n", text.c_str());
  std::fflush(stdout);
}

// A figure of /proc/self/status, in bytes.
std::int64_t status_bytes(const char* key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(key, 0) == 0) return std::atoll(line.c_str() + std::strlen(key)) * 1024;
  }
  return 0;
}

}  // namespace

void pin_to_one_processor() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(sched_getcpu(), &set);
  sched_setaffinity(0, sizeof set, &set);
}

int usable_processors() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

Stopwatch::Stopwatch(Counts counts) : counts_(counts), start_(now()) {}

std::int64_t Stopwatch::now() const {
  const std::int64_t lost = counts_ == Counts::ours ? time_in_run_queue() : 0;
  return wall_clock() - lost;
}

double Stopwatch::elapsed() const { return static_cast<double>(now() - start_); }

void check(bool is_true, const char* what) {
  if (is_true) return;
  std::fflush(stdout);
  std::fprintf(stderr, "WRONG: %s\n", what);
  std::_Exit(1);
}

void measure(const Line& line, const Round& ours, const Round& baseline) {
  Measured measured;
  ours();
  if (baseline) baseline();
  for (int round = 0; round < 3 * line.rounds; ++round) {
    if (round >= line.rounds && is_met(line, measured)) break;
    const double nanoseconds = ours();
    measured.ours.add(nanoseconds);
    if (!baseline) continue;
    const double raw = baseline();
    measured.baseline.add(raw);
    measured.ratio.add(nanoseconds / raw);
  }
  print(line, measured, static_cast<bool>(baseline));
}

std::int64_t memory_in_use() { return status_bytes("VmRSS:") + status_bytes("VmPTE:"); }

void print_memory(const MemoryLine& line) {
  std::string text = line.name + format(": %.0f bytes", line.bytes);
  std::string notes;
  if (line.baseline_bytes > 0) {
    notes += line.baseline + format(" %.0f bytes", line.baseline_bytes);
    notes += format(", %.2fx", line.bytes / line.baseline_bytes);
  }
  if (line.goal > 0) {
    if (!notes.empty()) notes += "; ";
    notes += format("goal <= %.0f bytes: ", line.goal) + verdict(line.bytes, line.bytes, line.goal);
  }
  if (!notes.empty()) text += " (" + notes + ")";
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

Results in_new_process(const std::function<Results()>& f) {
  std::fflush(nullptr);
  std::array<int, 2> ends{};
  check(pipe(ends.data()) == 0, "a pipe could not be made");
  const pid_t child = fork();
  check(child >= 0, "a process could not be made");
  if (child == 0) {
    const Results results = f();
    const bool is_written = write(ends[1], results.data(), sizeof results) == sizeof results;
    std::_Exit(is_written ? 0 : 1);
  }
  close(ends[1]);
  Results results{};
  const bool is_read = read(ends[0], results.data(), sizeof results) == sizeof results;
  close(ends[0]);
  waitpid(child, nullptr, 0);
  check(is_read, "the process that measures has died");
  return results;
}

}  // namespace greenroom::perf
