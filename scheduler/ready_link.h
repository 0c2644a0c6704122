// ReadyLink: a wait that hangs on one of several objects. Under the lock of the object, except for
// what a comment says.
#pragma once

#include <memory>
#include <utility>

#include "greenroom/scheduler/greenlet.h"
#include "greenroom/scheduler/turn.h"

namespace greenroom::detail {

// In the list of who waits for an object.
struct ReadyEntry {
  // Under the object's lock, on any thread. It is off the list. True: `task` has its place in the
  // calling thread's ready queue now.
  using Tell = bool (*)(ReadyEntry& entry) noexcept;
  ReadyEntry(Tell function, Task* who) : tell(function), task(who) {}
  bool is_linked() const { return next != nullptr; }
  void unlink() noexcept {
    if (!next) return;
    previous->next = next;
    next->previous = previous;
    next = previous = nullptr;
  }
  const Tell tell;
  Task* const task;  // what takes a place in a ready queue when it is told
  ReadyEntry* next = nullptr;
  ReadyEntry* previous = nullptr;
};

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

// Those who wait for an object, in order.
class ReadyList {
 public:
  ReadyList() { head_.next = head_.previous = &head_; }
  ReadyList(const ReadyList&) = delete;
  ReadyList& operator=(const ReadyList&) = delete;

  bool empty() const { return head_.next == &head_; }
  void push_back(ReadyEntry& entry) noexcept {
    entry.previous = head_.previous;
    entry.next = &head_;
    head_.previous->next = &entry;
    head_.previous = &entry;
  }
  ReadyEntry& front() { return *head_.next; }
  // Each is taken off first.
  void tell_all() noexcept {
    while (!empty()) {
      ReadyEntry& entry = *head_.next;
      entry.unlink();
      entry.tell(entry);
    }
  }

 private:
  ReadyEntry head_{nullptr, nullptr};
};

}  // namespace greenroom::detail
