// ReadyLink: a wait that hangs on one of several objects. Under the lock of the object, except for
// what a comment says.
#pragma once

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/hub/turn.h"
#include "greenroom/scheduler/sync/ready_list.h"

namespace greenroom::detail {

// Told once, by any thread, it acts in a turn of the hub that has made it. Its owner takes it off
// the object before it gives up its reference.
class ReadyLink : public Turn {
 public:
  // The object is ready, and has the link on no list any more. True: it was told here.
  bool tell() noexcept;
  ReadyEntry& entry() { return entry_; }

 protected:
  // As hub work. Null: the hub is ending. True: it has made something run first in the turn.
  using Act = bool (*)(ReadyLink& link, Turn* turn) noexcept;
  ReadyLink(Act act, Destroy destroy);  // on the hub that waits
  ~ReadyLink() = default;

 private:
  friend struct GreenletLinks;
  static void run(Turn& turn) noexcept;
  void tell_here() noexcept;

  // On an object with a list.
  struct Entry final : ReadyEntry {
    explicit Entry(ReadyLink& owner);
    ReadyLink& link;
  };
  // On a greenlet of this hub, whose end has a turn: it acts in that.
  struct Ended final : PlacedObserver {
    explicit Ended(ReadyLink& owner);
    ReadyLink& link;
  };

  const Act act_;
  Port& port_;
  Entry entry_;
  Ended ended_;
  green::Link remote_;  // on a greenlet of another hub
  Hold hold_;           // likewise
};

}  // namespace greenroom::detail
