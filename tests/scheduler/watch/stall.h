// For tests of the stall watch: what it has written, and code that stalls until that is there.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace greenroom {

// What is written to stderr from here on.
class Stderr {
 public:
  Stderr() : path_(::testing::TempDir() + "stderr_" + std::to_string(::getpid())) {
    std::fflush(stderr);
    kept_ = ::dup(STDERR_FILENO);
    std::FILE* file = std::fopen(path_.c_str(), "w");
    ::dup2(::fileno(file), STDERR_FILENO);
    std::fclose(file);
  }
  ~Stderr() {
    std::fflush(stderr);
    ::dup2(kept_, STDERR_FILENO);
    ::close(kept_);
    std::filesystem::remove(path_);
  }
  Stderr(const Stderr&) = delete;
  Stderr& operator=(const Stderr&) = delete;

  std::string text() const {
    std::ostringstream all;
    all << std::ifstream(path_).rdbuf();
    return all.str();
  }
  int count(const std::string& words) const {
    const std::string all = text();
    int count = 0;
    for (std::size_t at = 0; (at = all.find(words, at)) != std::string::npos; at += words.size())
      ++count;
    return count;
  }

 private:
  std::string path_;
  int kept_ = -1;
};

// Without a blocking call, until that is on stderr.
[[gnu::noinline]] inline void stall_until(const Stderr& written, const std::string& words,
                                          int times = 1) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (written.count(words) < times) {
    ASSERT_LT(std::chrono::steady_clock::now(), end) << written.text();
  }
}

[[gnu::noinline]] inline void stall_for(std::chrono::milliseconds duration) {
  const auto end = std::chrono::steady_clock::now() + duration;
  while (std::chrono::steady_clock::now() < end) {
  }
}

}  // namespace greenroom
