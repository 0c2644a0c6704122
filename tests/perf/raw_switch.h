// The cheapest switch there is: Boost's jump_fcontext around a ring of contexts that do nothing
// else. Their stacks are laid out as the greenlets' are, or the two would differ in cache misses.
#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "greenroom/scheduler/fiber/stack.h"
#include "greenroom/tests/perf/measure.h"

namespace greenroom::perf {

class RawSwitches {
 public:
  // The calling context is one of the `count`, which is at least two.
  explicit RawSwitches(std::size_t count) : contexts_(count) {
    seats_.resize(count);
    for (std::size_t i = 0; i < count; ++i) seats_[i] = {this, i};
    for (std::size_t i = 1; i < count; ++i) {
      const detail::Stack stack = stacks_.acquire();
      contexts_[i] = boost::context::detail::make_fcontext(stack.top(), stack.size, &start);
    }
    switch_on(0);
  }

  // Nanoseconds of one switch, over so many turns of the ring.
  double run(std::int64_t turns) {
    const Stopwatch stopwatch;
    for (std::int64_t i = 0; i < turns; ++i) switch_on(0);
    return stopwatch.elapsed() / static_cast<double>(turns) / static_cast<double>(contexts_.size());
  }

 private:
  struct Seat {
    RawSwitches* ring;
    std::size_t index;
  };

  static void start(boost::context::detail::transfer_t transfer) {
    // The first one to come here was handed its seat by the one before it.
    const Seat seat = *static_cast<Seat*>(transfer.data);
    seat.ring->arrive(seat.index, transfer.fctx);
    for (;;) seat.ring->switch_on(seat.index);
  }

  void arrive(std::size_t index, boost::context::detail::fcontext_t from) {
    contexts_[index == 0 ? contexts_.size() - 1 : index - 1] = from;
  }
  [[gnu::always_inline]] void switch_on(std::size_t index) {
    const std::size_t next = index + 1 == contexts_.size() ? 0 : index + 1;
    arrive(index, boost::context::detail::jump_fcontext(contexts_[next], &seats_[next]).fctx);
  }

  detail::StackPool stacks_;
  std::vector<boost::context::detail::fcontext_t> contexts_;
  std::vector<Seat> seats_;
};

}  // namespace greenroom::perf
