// What a user's file costs to compile: time and memory of the compiler, for a server of 20 request
// types, with the flags of .bazelrc. Run it in the root folder; CXX names another compiler.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "greenroom/tests/perf/measure.h"

extern char** environ;

namespace greenroom::perf {
namespace {

constexpr double time_goal = 3;      // seconds
constexpr double memory_goal = 700;  // MB
constexpr int rounds = 5;

struct Cost {
  double seconds = 0;  // of processor time, the compiler's children included
  double megabytes = 0;
};

Cost run_compiler(std::vector<std::string> arguments) {
  std::vector<char*> words;
  words.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  pid_t compiler = 0;
  check(posix_spawnp(&compiler, words[0], nullptr, nullptr, words.data(), environ) == 0,
        "the compiler could not be started");
  int status = 0;
  rusage usage{};
  wait4(compiler, &status, 0, &usage);
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the compiler has failed");
  auto seconds = [](timeval time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return {seconds(usage.ru_utime) + seconds(usage.ru_stime),
          static_cast<double>(usage.ru_maxrss) / 1024};
}

// A folder in which this one is called greenroom, as includes have it.
class IncludeTree {
 public:
  IncludeTree() {
    std::string pattern = std::filesystem::temp_directory_path() / "greenroom-XXXXXX";
    check(mkdtemp(pattern.data()) != nullptr, "no temporary folder could be made");
    path_ = pattern;
    std::filesystem::create_symlink(std::filesystem::current_path(), path_ / "greenroom");
  }
  ~IncludeTree() { std::filesystem::remove_all(path_); }
  IncludeTree(const IncludeTree&) = delete;
  IncludeTree& operator=(const IncludeTree&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

Cost compile(const IncludeTree& tree, const std::string& language_and_source,
             const std::vector<std::string>& flags) {
  const char* compiler = std::getenv("CXX");
  std::vector<std::string> arguments = {compiler ? compiler : "g++",
                                        "-std=c++20",
                                        "-O2",
                                        "-g1",
                                        "-Wall",
                                        "-Wextra",
                                        "-Wpedantic",
                                        "-fno-omit-frame-pointer",
                                        "-fstack-clash-protection",
                                        "-I",
                                        tree.path(),
                                        "-c",
                                        "-o",
                                        tree.path() / "sample.o"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  arguments.push_back(language_and_source);
  return run_compiler(arguments);
}

struct Costs {
  std::array<double, rounds> seconds{};
  double megabytes = 0;

  void set(int round, const Cost& cost) {
    seconds.at(static_cast<std::size_t>(round)) = cost.seconds;
    megabytes = std::max(megabytes, cost.megabytes);
  }
  double min() const { return *std::min_element(seconds.begin(), seconds.end()); }
  double median() const {
    std::array<double, rounds> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    return sorted[rounds / 2];
  }
};

const char* verdict(double value, double goal) { return value < goal ? "met" : "MISSED"; }

void measure_all() {
  const std::string sample = "tests/perf/compile_sample.cc";
  check(std::filesystem::exists(sample), "this is not greenroom's root folder");
  const IncludeTree tree;
  Costs ours;
  Costs plain;
  Costs header;
  for (int round = -1; round < rounds; ++round) {
    const Cost with = compile(tree, sample, {});
    const Cost without = compile(tree, sample, {"-DGREENROOM_PERF_PLAIN"});
    const Cost only_header =
        compile(tree, "/dev/null", {"-include", "greenroom/actors/actors.h", "-x", "c++"});
    if (round < 0) continue;  // files are in the page cache now
    ours.set(round, with);
    plain.set(round, without);
    header.set(round, only_header);
  }
  std::printf(
      "compile a server of 20 request types: %.2f s (min %.2f s; the same class without "
      "greenroom %.2f s, %.2fx; goal < %.0f s: %s)\n",
      ours.median(), ours.min(), plain.median(), ours.median() / plain.median(), time_goal,
      verdict(ours.median(), time_goal));
  std::printf("compiler's memory: %.0f MB (without greenroom %.0f MB, %.2fx; goal < %.0f MB: %s)\n",
              ours.megabytes, plain.megabytes, ours.megabytes / plain.megabytes, memory_goal,
              verdict(ours.megabytes, memory_goal));
  std::printf("compile a file that only includes actors.h: %.2f s, %.0f MB\n", header.median(),
              header.megabytes);
}

}  // namespace
}  // namespace greenroom::perf

int main() { greenroom::perf::measure_all(); }
