// A map that iterates in insertion order: linear while small, indexed when large. For an actor's
// links and monitors: most have one or two, a supervisor may have a hundred thousand.
//
// Entries are in one array, chained in insertion order; an erased one's place is used again. So
// what comes and goes costs the same however long it goes on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "greenroom/scheduler/memory/block_pool.h"
#include "greenroom/scheduler/memory/flat_index.h"

namespace greenroom::detail {

// K() is no key. Pointers to values are good until the next insert.
template <class K, class V>
class OrderedMap {
  static_assert(std::is_trivially_copyable_v<K> && std::is_trivially_copyable_v<V>);

 public:
  OrderedMap() = default;
  ~OrderedMap() { release(); }
  OrderedMap(const OrderedMap&) = delete;
  OrderedMap& operator=(const OrderedMap&) = delete;

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  V* find(const K& key) {
    const std::uint32_t at = position(key);
    return at == none ? nullptr : &entries_[at].value;
  }

  // The value, made if there is none.
  V& operator[](const K& key) {
    if (V* value = find(key)) return *value;
    const std::uint32_t at = take_place();
    entries_[at] = {key, V(), last_, none};
    (last_ == none ? first_ : entries_[last_].next) = at;
    last_ = at;
    ++size_;
    if (index_) {
      index_->insert(key, at);
    } else if (size_ > linear_limit) {
      build_index();
    }
    return entries_[at].value;
  }

  bool erase(const K& key) {
    const std::uint32_t at = position(key);
    if (at == none) return false;
    if (index_) index_->erase(key);
    const Entry& entry = entries_[at];
    (entry.previous == none ? first_ : entries_[entry.previous].next) = entry.next;
    (entry.next == none ? last_ : entries_[entry.next].previous) = entry.previous;
    entries_[at].next = std::exchange(free_, at);
    if (--size_ == 0) index_.reset();
    return true;
  }

  // f(key, value) in insertion order; f must not change the map.
  template <class F>
  void for_each(F&& f) {
    for (std::uint32_t at = first_; at != none; at = entries_[at].next)
      f(std::as_const(entries_[at].key), entries_[at].value);
  }

 private:
  static constexpr std::size_t linear_limit = 16;
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  struct Entry {
    K key;
    V value;
    std::uint32_t previous;
    std::uint32_t next;  // in insertion order, or of the free ones
  };

  std::uint32_t position(const K& key) const {
    if (index_) {
      const std::uint32_t* at = index_->find(key);
      return at == nullptr ? none : *at;
    }
    std::uint32_t at = last_;
    while (at != none && !(entries_[at].key == key)) at = entries_[at].previous;
    return at;
  }

  std::uint32_t take_place() {
    if (free_ != none) return std::exchange(free_, entries_[free_].next);
    if (used_ == capacity_) grow();
    return used_++;
  }

  void grow() {
    const std::uint32_t larger = capacity_ == 0 ? 1 : capacity_ * 2;
    auto* entries = static_cast<Entry*>(allocate_block(larger * sizeof(Entry)));
    for (std::uint32_t at = 0; at < used_; ++at) new (&entries[at]) Entry(entries_[at]);
    release();
    entries_ = entries;
    capacity_ = larger;
  }

  void release() noexcept {
    if (entries_ != nullptr) release_block(entries_, capacity_ * sizeof(Entry));
  }

  void build_index() {
    index_ = std::make_unique<FlatIndex<K, std::uint32_t>>();
    for (std::uint32_t at = first_; at != none; at = entries_[at].next)
      index_->insert(entries_[at].key, at);
  }

  Entry* entries_ = nullptr;
  std::uint32_t capacity_ = 0;
  std::uint32_t used_ = 0;  // places ever used
  std::uint32_t size_ = 0;
  std::uint32_t first_ = none;
  std::uint32_t last_ = none;
  std::uint32_t free_ = none;
  std::unique_ptr<FlatIndex<K, std::uint32_t>> index_;
};

}  // namespace greenroom::detail
