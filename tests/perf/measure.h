// What the programs of this folder share: rounds of ours and of a baseline in turn, and one line of
// output for each pair. How to read the lines: README.md.
//
// Noise only ever adds time, so a goal is met if the median meets it, missed if not even the
// fastest round does, and unclear in between; as long as it is not met, more rounds are made. For
// one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace greenroom::perf {

// Keeps the calling thread, and those it starts later, on the processor it runs on.
void pin_to_one_processor();
int usable_processors();

// Nanoseconds since its construction. `ours` leaves out the time in which this thread could have
// run and another program did; waiting and sleeping are counted. For what one thread does.
class Stopwatch {
 public:
  enum class Counts : std::uint8_t { ours, everything };
  explicit Stopwatch(Counts counts = Counts::ours);
  double elapsed() const;

 private:
  std::int64_t now() const;

  Counts counts_;
  std::int64_t start_;
};

// Keeps the compiler from leaving out what makes `value`.
template <class T>
inline void keep(T& value) {
  asm volatile("" : "+m"(value) : : "memory");
}

// A wrong count makes every figure worthless: says so and ends the process.
void check(bool is_true, const char* what);

enum class Unit : std::uint8_t { nanoseconds, per_second };

// One line of output. A round is a function that returns nanoseconds per operation.
struct Line {
  std::string name;
  std::string baseline = {};
  double goal = 0;        // nanoseconds per operation at most; 0 = none
  double goal_ratio = 0;  // the same as a multiple of the baseline
  // The baseline is a part of what is measured: a goal below it is out of reach on this machine.
  bool baseline_is_floor = false;
  Unit unit = Unit::nanoseconds;
  int rounds = 7;  // at least; up to three times as many while the goal is not met
};
using Round = std::function<double()>;
void measure(const Line& line, const Round& ours, const Round& baseline = {});

// Memory of this process: resident pages and page tables.
std::int64_t memory_in_use();

// A line of bytes per object.
struct MemoryLine {
  std::string name;
  double bytes = 0;
  std::string baseline = {};
  double baseline_bytes = 0;
  double goal = 0;  // bytes at most; 0 = none
};
void print_memory(const MemoryLine& line);

// Runs f in a new process, with no hub and no warm memory, and returns its results. For a process
// without a hub.
inline constexpr std::size_t result_count = 4;
using Results = std::array<double, result_count>;
Results in_new_process(const std::function<Results()>& f);

}  // namespace greenroom::perf
