// Ready tasks in the order in which they became ready: a list through the tasks. One hub's.
#pragma once

#include <cstddef>
#include <utility>

#include "greenroom/scheduler/fiber/fiber.h"
#include "greenroom/scheduler/task/task.h"

namespace greenroom::detail {

// One that waits alone is not on the list: two servers that write to each other, say, or a call and
// its server, take two stores for each turn instead of five.
class ReadyQueue {
 public:
  bool empty() const { return !head_ && !only_; }
  // Counts them; for simulations.
  std::size_t size() const;
  void push_back(Task& task) {
    if (!head_) {
      if (!only_) {
        only_ = &task;
        return;
      }
      push_to_list(*std::exchange(only_, nullptr));
    }
    push_to_list(task);
  }
  void push_front(Task& task) {
    if (empty()) {
      only_ = &task;
      return;
    }
    if (only_) push_to_list(*std::exchange(only_, nullptr));
    task.next_ready = head_;
    head_ = &task;
  }
  // Right behind one that is in it.
  void insert_behind(Task& place, Task& task) {
    if (&place == only_) return push_back(task);
    task.next_ready = place.next_ready;
    place.next_ready = &task;
    if (tail_ == &place.next_ready) tail_ = &task.next_ready;
  }
  // Null, and nothing happens, if there is none or accept(Task&) is false for it.
  template <class F>
  [[gnu::always_inline]] Task* pop_front_if(F accept) {
    Task* task = head_ ? head_ : only_;
    if (!task || !accept(*task)) return nullptr;
    return pop_front();
  }
  Task* pop_front() {
    if (!head_) return std::exchange(only_, nullptr);
    Task* task = head_;
    head_ = task->next_ready;
    if (!head_) {
      tail_ = &head_;
    } else if (head_->fiber) {
      head_->fiber->prefetch();  // of many that wait, each is cold when its turn comes
    }
    return task;
  }
  // The n-th from the front; for simulations.
  Task* pop(std::size_t n);
  // Walks.
  void remove(Task& task);
  // The same if it is among the first `limit`; false, and nothing happens, if not.
  bool remove_near(const Task& task, std::size_t limit);

 private:
  void push_to_list(Task& task) {
    task.next_ready = nullptr;
    *tail_ = &task;
    tail_ = &task.next_ready;
  }

  Task* only_ = nullptr;  // not null: the list is empty
  Task* head_ = nullptr;
  Task** tail_ = &head_;
};

}  // namespace greenroom::detail
