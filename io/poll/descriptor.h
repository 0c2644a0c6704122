// A descriptor of ours: who reads and who writes, whether it may have something, and its end.
//
// It belongs to the hub where somebody waited for it first, its home; used on another hub it moves
// there, which its old home must confirm. All is for one hub at a time, except where it says "any
// thread". Invariants: one waiter per direction; a waiter is on the descriptor until it leaves or
// the descriptor ends, and after its end it touches the descriptor no more: so a descriptor can be
// closed, and its number reused, while greenlets are still parked on it.
//
// Interest stays armed between two waits: in the steady state of a connection the kernel is told
// nothing. What is ready while nobody waits disarms it, once.
#pragma once

#include <cstdint>
#include <memory>

#include "greenroom/io/poll/fd_poller.h"
#include "greenroom/io/socket/address.h"
#include "greenroom/scheduler/hub/park.h"
#include "greenroom/scheduler/port/port.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::detail {

enum class Direction : std::uint8_t { read, write };

// Somebody who waits for a descriptor, once (a parked greenlet) or for long (active mode). All is
// hub work, on the descriptor's home.
class Waiter {
 public:
  // False: not now; the descriptor is disarmed until somebody wants it again.
  virtual bool on_ready() noexcept = 0;
  // The descriptor ends: EBADF if it was closed, ENOSPC if the kernel cannot watch it. The waiter
  // is off it already.
  virtual void on_end(int error) noexcept = 0;
  // For messages: "greenlet f()".
  virtual std::string describe() const = 0;

 protected:
  ~Waiter() = default;
};

class DescriptorMove;

class Descriptor : public PolledFd, private PostNode {
 public:
  // Takes the descriptor over; `address` is what it is called in messages.
  Descriptor(int fd, const Address& address);
  ~Descriptor() override;

  // Ends it: waiters are told, interest is disarmed, then it is closed; at home, by a post, if that
  // is another hub. Any thread on which nobody uses it.
  static void end(std::unique_ptr<Descriptor> descriptor) noexcept;

  const Address& address() const { return address_; }
  // Of its home; it must have one.
  FdPoller& poller() const { return *home_->poller; }

  // Start of every operation: throws ConcurrentUse if somebody waits in that direction. **Blocks.**
  // as settle(), if it has another home.
  void prepare(Direction direction, Wait wait);
  void check_free(Direction direction) const;
  // The waiter waits. **Blocks.** as settle().
  void enter(Direction direction, Waiter& waiter, std::int64_t deadline = no_deadline);
  void leave(Direction direction, Waiter& waiter) noexcept;
  // on_ready will be called.
  void want(Direction direction) noexcept;
  // Makes this hub its home. **Blocks.** if it has another one, until that has let it go. Throws
  // IoError, timed_out, or bad_file_descriptor if it has ended meanwhile: then it is gone.
  void settle(std::int64_t deadline = no_deadline);

  // Whether anything is there is found out by an attempt, and by nothing else. An attempt makes no
  // system call if the one before left nothing and no news has come since. This makes the next
  // attempt a real one: for callers that will not wait for news, or not any longer.
  void look_again(Direction direction) noexcept { set_exhausted(direction, false); }
  // The poller is to tell of news, and does so whenever it polls.
  bool is_armed(Direction direction) const { return (armed_ & bit(direction)) != 0; }

 protected:
  // For attempts: the last one left nothing, and no news has come since.
  bool is_exhausted(Direction direction) const { return (exhausted_ & bit(direction)) != 0; }
  void set_exhausted(Direction direction, bool exhausted) {
    exhausted_ = static_cast<std::uint8_t>(exhausted ? exhausted_ | bit(direction)
                                                     : exhausted_ & ~bit(direction));
  }
  // For messages: what is done to it in that direction.
  virtual const char* verb_of(Direction direction) const;

 private:
  friend class DescriptorMove;
  static std::uint8_t bit(Direction direction) {
    return direction == Direction::read ? interest::read : interest::write;
  }
  Waiter*& slot(Direction direction) { return waiters_[static_cast<int>(direction)]; }
  bool is_at(const Hub* hub) const { return home_ && hub && home_->hub == hub; }
  void on_ready(std::uint8_t ready) noexcept override;
  void on_refused() noexcept override;
  void tell(Direction direction) noexcept;
  void disarm(std::uint8_t bits) noexcept;
  void leave_home(Hub& here, std::int64_t deadline);
  void give_up(DescriptorMove& move) noexcept;
  void abandon_move(DescriptorMove& move) noexcept;
  void tell_end(int error) noexcept;
  void end_here() noexcept;

  std::uint8_t armed_ = interest::none;
  std::uint8_t exhausted_ = interest::none;
  Address address_;
  Waiter* waiters_[2] = {};
  std::shared_ptr<PollerHome> home_;
  std::shared_ptr<DescriptorMove> move_;  // while it waits for its old home
};

struct EndDescriptor {
  void operator()(Descriptor* descriptor) const noexcept {
    Descriptor::end(std::unique_ptr<Descriptor>(descriptor));
  }
};
// Whoever holds it owns the open descriptor.
template <class T = Descriptor>
using OwnedDescriptor = std::unique_ptr<T, EndDescriptor>;

}  // namespace greenroom::detail
