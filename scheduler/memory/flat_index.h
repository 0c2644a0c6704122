// A hash map for what comes and goes all the time: open addressing, and an erase that closes the
// gap, so that it never has to be built anew because of what is no longer there.
//
// Rejected: boost::unordered_flat_map, which lowers its own limit at an erase and so rehashes again
//   and again at a constant size (a fifth of a supervisor's restart).
#pragma once

#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace greenroom::detail {

// K() is no key: it is never found. Pointers to values are good until the next insert or erase.
template <class K, class V>
class FlatIndex {
 public:
  FlatIndex() = default;
  FlatIndex(FlatIndex&& other) noexcept
      : slots_(std::move(other.slots_)),
        capacity_(std::exchange(other.capacity_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  FlatIndex& operator=(FlatIndex&& other) noexcept {
    slots_ = std::move(other.slots_);
    capacity_ = std::exchange(other.capacity_, 0);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  V* find(const K& key) {
    if (size_ == 0 || key == K()) return nullptr;
    Slot& slot = slots_[place_of(key)];
    return slot.key == key ? &slot.value : nullptr;
  }

  // The key must not be in it.
  void insert(const K& key, V value) {
    assert(key != K() && find(key) == nullptr);
    if (size_ * 2 >= capacity_) grow();
    slots_[place_of(key)] = {key, std::move(value)};
    ++size_;
  }

  bool erase(const K& key) {
    if (size_ == 0 || key == K()) return false;
    std::size_t gap = place_of(key);
    if (slots_[gap].key != key) return false;
    // Whatever would be looked for across the gap moves into it.
    for (std::size_t at = next(gap); slots_[at].key != K(); at = next(at)) {
      if (distance(home_of(slots_[at].key), at) < distance(gap, at)) continue;
      slots_[gap] = std::move(slots_[at]);
      gap = at;
    }
    slots_[gap] = Slot();
    --size_;
    return true;
  }

  // f(key, value) in no order; f must not change the map.
  template <class F>
  void for_each(F&& f) {
    for (std::size_t at = 0; at < capacity_; ++at) {
      if (slots_[at].key != K()) f(std::as_const(slots_[at].key), slots_[at].value);
    }
  }
  template <class F>
  void for_each(F&& f) const {
    for (std::size_t at = 0; at < capacity_; ++at) {
      if (slots_[at].key != K()) f(slots_[at].key, std::as_const(slots_[at].value));
    }
  }

 private:
  struct Slot {
    K key = K();
    V value = V();
  };

  std::size_t home_of(const K& key) const {
    const std::uint64_t mixed = std::uint64_t{std::hash<K>()(key)} * 0x9e3779b97f4a7c15u;
    return mixed >> (64 - std::countr_zero(capacity_));
  }
  std::size_t next(std::size_t at) const { return (at + 1) & (capacity_ - 1); }
  std::size_t distance(std::size_t from, std::size_t to) const {
    return (to - from) & (capacity_ - 1);
  }
  // Where it is, or would be.
  std::size_t place_of(const K& key) const {
    std::size_t at = home_of(key);
    while (slots_[at].key != key && slots_[at].key != K()) at = next(at);
    return at;
  }

  void grow() {
    const std::size_t old_capacity = std::exchange(capacity_, capacity_ == 0 ? 8 : capacity_ * 2);
    const std::unique_ptr<Slot[]> old = std::exchange(slots_, std::make_unique<Slot[]>(capacity_));
    for (std::size_t at = 0; at < old_capacity; ++at) {
      if (old[at].key != K()) slots_[place_of(old[at].key)] = std::move(old[at]);
    }
  }

  std::unique_ptr<Slot[]> slots_;
  std::size_t capacity_ = 0;  // a power of two, at least twice the size
  std::size_t size_ = 0;
};

}  // namespace greenroom::detail
