// ReadyLink: a wait that hangs on one of several objects. Under the lock of the object, except for
// what a comment says.
#pragma once

#include <memory>
#include <utility>

#include "greenroom/scheduler/greenlet.h"
#include "greenroom/scheduler/turn.h"

namespace greenroom::detail {

class ReadyLinks;

// Told once, by any thread, it acts in a turn of the hub that has made it. Its owner takes it off
// the object before it gives up its reference.
class ReadyLink : public Turn {
 public:
  // The object is ready, and has the link on no list any more.
  void tell() noexcept;

 protected:
  // As hub work. Null: the hub is ending. True: it has made something run first in the turn.
  using Act = bool (*)(ReadyLink& link, Turn* turn) noexcept;
  ReadyLink(Act act, Destroy destroy);  // on the hub that waits
  ~ReadyLink() = default;

 private:
  friend class ReadyLinks;
  friend struct GreenletLinks;
  static void run(Turn& turn) noexcept;
  void tell_here() noexcept;

  // On a greenlet of this hub, whose end has a turn: it acts in that.
  struct Ended final : PlacedObserver {
    explicit Ended(ReadyLink& owner);
    ReadyLink& link;
  };

  const Act act_;
  Port& port_;
  ReadyLink* next_ = nullptr;
  ReadyLink* previous_ = nullptr;
  Ended ended_;
  green::Link remote_;  // on a greenlet of another hub
  Hold hold_;           // likewise
};

// Those that hang on an object, in order.
class ReadyLinks {
 public:
  ReadyLinks() = default;
  ReadyLinks(const ReadyLinks&) = delete;
  ReadyLinks& operator=(const ReadyLinks&) = delete;

  bool empty() const { return !first_; }
  void push_back(ReadyLink& link) noexcept;
  // Does nothing if it is not one of these.
  void remove(ReadyLink& link) noexcept;
  // Each is taken off first.
  void tell_all() noexcept;

 private:
  ReadyLink* first_ = nullptr;
  ReadyLink* last_ = nullptr;
};

}  // namespace greenroom::detail
