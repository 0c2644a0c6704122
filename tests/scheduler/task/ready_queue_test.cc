// The ready queue against a deque, by random programs.
#include "greenroom/scheduler/task/ready_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <vector>

namespace greenroom::detail {
namespace {

constexpr TaskOps no_ops{};

class Model {
 public:
  explicit Model(std::uint64_t seed) : random_(seed) {
    for (int i = 0; i < 5; ++i) idle_.push_back(std::make_unique<Task>(no_ops));
  }

  void step() {
    switch (random_() % 6) {
      case 0:
      case 1:
        return push();
      case 2:
        return took(queue_.pop_front(), 0);
      case 3:
        return pop_front_if();
      case 4:
        if (!expected_.empty()) {
          const std::size_t n = random_() % expected_.size();
          took(queue_.pop(n), n);
        }
        return;
      default:
        if (!expected_.empty()) {
          const std::size_t n = random_() % expected_.size();
          queue_.remove(*expected_[n]);
          took(expected_[n].get(), n);
        }
    }
  }
  void check() const {
    ASSERT_EQ(queue_.size(), expected_.size());
    ASSERT_EQ(queue_.empty(), expected_.empty());
  }

 private:
  void push() {
    if (idle_.empty()) return;
    queue_.push_back(*idle_.back());
    expected_.push_back(std::move(idle_.back()));
    idle_.pop_back();
  }
  void pop_front_if() {
    const bool accepts = random_() % 2 == 0;
    const Task* asked = nullptr;
    const Task* task = queue_.pop_front_if([&](const Task& first) {
      asked = &first;
      return accepts;
    });
    ASSERT_EQ(asked, expected_.empty() ? nullptr : expected_.front().get());
    if (accepts) {
      took(task, 0);
    } else {
      ASSERT_EQ(task, nullptr);
    }
  }
  void took(const Task* task, std::size_t n) {
    if (expected_.empty()) {
      ASSERT_EQ(task, nullptr);
      return;
    }
    ASSERT_EQ(task, expected_[n].get());
    idle_.push_back(std::move(expected_[n]));
    expected_.erase(expected_.begin() + static_cast<std::ptrdiff_t>(n));
  }

  std::mt19937_64 random_;
  ReadyQueue queue_;
  std::deque<std::unique_ptr<Task>> expected_;
  std::vector<std::unique_ptr<Task>> idle_;
};

TEST(ReadyQueue, AgreesWithADeque) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Model model(seed);
    for (int i = 0; i < 2000 && !::testing::Test::HasFailure(); ++i) {
      model.step();
      model.check();
    }
  }
}

}  // namespace
}  // namespace greenroom::detail
