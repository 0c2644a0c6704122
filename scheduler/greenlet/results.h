// green::Results: what comes one after another, as an input range.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "greenroom/scheduler/time/time.h"

namespace greenroom {

namespace detail {

// Where results come from. Its end ends what still makes some.
template <class R>
class ResultSource {
 public:
  ResultSource() = default;
  virtual ~ResultSource() = default;
  ResultSource(const ResultSource&) = delete;
  ResultSource& operator=(const ResultSource&) = delete;

  virtual std::optional<R> next(Wait wait) = 0;
};

}  // namespace detail

namespace green {

template <class R>
class Results;

// Of Results: at one result, or at the end.
template <class R>
class ResultsIterator {
 public:
  using value_type = R;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::input_iterator_tag;

  explicit ResultsIterator(Results<R>& results) : results_(&results), here_(results.next()) {}
  R& operator*() const { return *here_; }
  R* operator->() const { return &*here_; }
  // **Blocks.** as Results::next.
  ResultsIterator& operator++() {
    here_ = results_->next();
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const ResultsIterator& at, std::default_sentinel_t) { return !at.here_; }

 private:
  Results<R>* results_;
  mutable std::optional<R> here_;
};

// A sequence that is not there yet: for (auto& result : group.imap(f, items)). For one reader at a
// time. As the iterators of gevent.iwait and of a pool's imap.
template <class R>
class Results {
 public:
  explicit Results(std::unique_ptr<detail::ResultSource<R>> source) : source_(std::move(source)) {}
  Results(Results&&) noexcept = default;
  Results& operator=(Results&&) noexcept = default;

  // **Blocks.** until the next one is there; nothing: the end. Throws the error of a result that is
  // one, and goes on after it; TimeoutError if the wait was over first. std::logic_error after
  // this was moved from.
  std::optional<R> next(Wait wait = Wait::forever()) {
    if (!source_) {
      throw std::logic_error(
          "greenroom: Results that were moved away; read those they were moved to");
    }
    return source_->next(wait);
  }
  // **Blocks.** as next(). Once: what was read does not come again.
  ResultsIterator<R> begin() { return ResultsIterator<R>(*this); }
  std::default_sentinel_t end() { return {}; }

 private:
  std::unique_ptr<detail::ResultSource<R>> source_;
};

}  // namespace green
}  // namespace greenroom
