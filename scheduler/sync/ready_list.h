// ReadyList: who is to be told that an object is ready, in order. Under the lock of the object.
#pragma once

#include "greenroom/scheduler/task/task.h"

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
