#include "greenroom/tests/io/hang_guard.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace greenroom::hang_guard {

namespace {

using namespace std::chrono_literals;

// Less than Bazel gives a small test program; far more than any test takes.
constexpr std::chrono::seconds patience = 45s;

class Guard final : public testing::EmptyTestEventListener {
 public:
  // All signals are blocked in its thread: they are for the threads of the tests.
  void OnTestProgramStart(const testing::UnitTest&) override {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);
    thread_ = std::thread([this] { watch(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  void OnTestStart(const testing::TestInfo& info) override {
    move_on(std::string(info.test_suite_name()) + "." + info.name());
  }
  void OnTestProgramEnd(const testing::UnitTest&) override {
    move_on({});
    thread_.join();
  }

 private:
  // Without a name: there are no more tests.
  void move_on(const std::string& name) {
    const std::lock_guard lock(mutex_);
    name_ = name;
    ++moves_;
    has_moved_on_.notify_one();
  }

  void watch() {
    std::unique_lock lock(mutex_);
    while (!name_.empty()) {
      const auto has_moved = [this, before = moves_] { return moves_ != before; };
      if (has_moved_on_.wait_for(lock, patience, has_moved)) continue;
      std::fprintf(stderr, "%s hangs\n", name_.c_str());
      std::abort();
    }
  }

  std::mutex mutex_;
  std::condition_variable has_moved_on_;
  std::string name_ = "the test program";
  int moves_ = 0;
  std::thread thread_;
};

}  // namespace

bool fail_tests_that_hang() {
  // GoogleTest owns it.
  testing::UnitTest::GetInstance()->listeners().Append(std::make_unique<Guard>().release());
  return true;
}

}  // namespace greenroom::hang_guard
