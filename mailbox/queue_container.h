// What a queue keeps its items in: by their turn. Not thread-safe; moving a T must not throw.
#pragma once

#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

namespace greenroom::detail {

template <class T>
class FifoContainer {
 public:
  void push(T item) { items_.push_back(std::move(item)); }
  T pop() {
    T item = std::move(items_.front());
    items_.pop_front();
    return item;
  }
  const T& front() const { return items_.front(); }
  std::deque<T> take_all() { return std::exchange(items_, {}); }

 private:
  std::deque<T> items_;
};

template <class T>
class LifoContainer {
 public:
  void push(T item) { items_.push_back(std::move(item)); }
  T pop() {
    T item = std::move(items_.back());
    items_.pop_back();
    return item;
  }
  const T& front() const { return items_.back(); }
  std::vector<T> take_all() { return std::exchange(items_, {}); }

 private:
  std::vector<T> items_;
};

// A heap, the smallest in front. All comparisons come before the first move: one that throws
// changes nothing. std::push_heap and std::pop_heap would lose an item.
template <class T, class Less>
class HeapContainer {
 public:
  void push(T item) {
    items_.push_back(std::move(item));
    std::size_t top = items_.size() - 1;
    try {
      while (top > 0 && Less()(items_.back(), items_[parent(top)])) top = parent(top);
    } catch (...) {
      items_.pop_back();
      throw;
    }
    for (std::size_t i = items_.size() - 1; i != top; i = parent(i))
      std::swap(items_[i], items_[parent(i)]);
  }
  T pop() {
    // Where the last one belongs once the first is gone; what is above it there moves up.
    const std::size_t last = items_.size() - 1;
    std::size_t place = 0;
    for (std::size_t child = 1; child < last; child = 2 * place + 1) {
      if (child + 1 < last && Less()(items_[child + 1], items_[child])) ++child;
      if (!Less()(items_[child], items_[last])) break;
      place = child;
    }
    T item = std::move(items_.back());
    items_.pop_back();
    if (last == 0) return item;
    for (; place != 0; place = parent(place)) std::swap(item, items_[place]);
    std::swap(item, items_.front());
    return item;
  }
  const T& front() const { return items_.front(); }
  std::vector<T> take_all() { return std::exchange(items_, {}); }

 private:
  static std::size_t parent(std::size_t i) { return (i - 1) / 2; }
  std::vector<T> items_;
};

}  // namespace greenroom::detail
