// Words of one thread that others read, or write, from time to time, at no cost for their owner:
// plain loads and stores in machine code. All relaxed: each word is the whole message.
#pragma once

#include <atomic>
#include <cstdint>

namespace greenroom::detail {

// Counted by one thread, read by any.
class Counter {
 public:
  void operator++() noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  operator std::uint64_t() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Any thread may write it as well; of two writes at a time one is lost.
template <class T>
class SharedWord {
 public:
  SharedWord(T value) noexcept : value_(value) {}
  operator T() const noexcept { return value_.load(std::memory_order_relaxed); }
  T operator=(T value) noexcept {
    value_.store(value, std::memory_order_relaxed);
    return value;
  }

 private:
  std::atomic<T> value_;
};

}  // namespace greenroom::detail
