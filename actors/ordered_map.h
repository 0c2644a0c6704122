// A map that iterates in insertion order: linear while small, indexed when large. For an actor's
// links and monitors: most have one or two, a supervisor may have a hundred thousand.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace greenroom::detail {

template <class K, class V>
class OrderedMap {
 public:
  bool empty() const { return live_ == 0; }
  std::size_t size() const { return live_; }

  V* find(const K& key) {
    const std::size_t at = position(key);
    return at == none ? nullptr : &entries_[at].value;
  }

  // The value, made if there is none.
  V& operator[](const K& key) {
    const std::size_t at = position(key);
    if (at != none) return entries_[at].value;
    entries_.push_back({key, V(), true});
    ++live_;
    if (index_) {
      index_->emplace(key, static_cast<std::uint32_t>(entries_.size() - 1));
    } else if (entries_.size() > linear_limit) {
      compact();
      if (live_ > linear_limit / 2) build_index();
    }
    return entries_.back().value;
  }

  bool erase(const K& key) {
    const std::size_t at = position(key);
    if (at == none) return false;
    if (index_) index_->erase(key);
    if (at + 1 == entries_.size()) {
      entries_.pop_back();
    } else {
      entries_[at].is_live = false;
      entries_[at].value = V();
    }
    if (--live_ == 0) {
      entries_.clear();
    } else if (index_ && entries_.size() > 2 * live_ + linear_limit) {
      compact();
      build_index();
    }
    return true;
  }

  // f(key, value) in insertion order; f must not change the map.
  template <class F>
  void for_each(F&& f) {
    for (auto& entry : entries_) {
      if (entry.is_live) f(entry.key, entry.value);
    }
  }

 private:
  static constexpr std::size_t linear_limit = 16;
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  struct Entry {
    K key;
    V value;
    bool is_live;
  };
  using Index = boost::unordered_flat_map<K, std::uint32_t, std::hash<K>>;

  std::size_t position(const K& key) const {
    if (index_) {
      const auto found = index_->find(key);
      return found == index_->end() ? none : found->second;
    }
    for (std::size_t at = entries_.size(); at-- > 0;) {
      if (entries_[at].is_live && entries_[at].key == key) return at;
    }
    return none;
  }

  void compact() {
    std::erase_if(entries_, [](const Entry& entry) { return !entry.is_live; });
  }

  void build_index() {
    index_ = std::make_unique<Index>();
    index_->reserve(entries_.size() * 2);
    for (std::size_t at = 0; at < entries_.size(); ++at)
      index_->emplace(entries_[at].key, static_cast<std::uint32_t>(at));
  }

  std::vector<Entry> entries_;
  std::size_t live_ = 0;
  std::unique_ptr<Index> index_;
};

}  // namespace greenroom::detail
