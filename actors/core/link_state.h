// One side of a link. Between hubs an unlink is acknowledged: until then what comes from the peer
// may have been sent before the peer saw it.
#pragma once

#include <cassert>
#include <cstdint>

namespace greenroom::detail {

// As made: linked. A side that is not linked, and waits for no acknowledgement, has no LinkState.
class LinkState {
 public:
  // The two share their fate, as far as this side knows.
  bool is_active() const { return phase_ != Phase::unlinking; }
  // No acknowledgement is under way: an exit of the peer is of this link, and acts.
  bool is_settled() const { return phase_ == Phase::linked; }
  // The acknowledgement of that unlink is what this side waits for.
  bool awaits(std::uint64_t unlink_id) const {
    return phase_ != Phase::linked && unlink_id_ == unlink_id;
  }

  // This side ends the link, which is active, and is to hear of the unlink of that number.
  void unlink(std::uint64_t unlink_id) {
    assert(is_active());
    phase_ = Phase::unlinking;
    unlink_id_ = unlink_id;
  }
  // This side links again before its unlink was acknowledged.
  void link_again() {
    assert(phase_ == Phase::unlinking);
    phase_ = Phase::relinked;
  }
  // The peer has ended a link that is not settled. With the link that this side has made since it
  // is over, too; the acknowledgement is still to come.
  void end_by_peer() {
    assert(!is_settled());
    phase_ = Phase::unlinking;
  }
  // The acknowledgement has come, and this side has linked again since.
  void settle() {
    assert(phase_ == Phase::relinked);
    phase_ = Phase::linked;
  }

 private:
  enum class Phase : std::uint8_t {
    linked,
    unlinking,  // ended by this side; the peer has not acknowledged it
    relinked,   // and linked again since: exits of the peer are of the old link, and dropped
  };
  Phase phase_ = Phase::linked;
  std::uint64_t unlink_id_ = 0;  // in the phases unlinking and relinked
};

}  // namespace greenroom::detail
